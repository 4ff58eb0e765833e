// What the console's pages can do only with a script: passkeys, times in the browser's zone, copying. All else works without.
"use strict";
{
  // The page's language, in the way of the reader's country.
  const page = document.documentElement.lang;
  const language = navigator.languages.find((one) => one.split("-")[0] === page) ?? page;
  const day = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

  // Times are written in UTC; here they are told in the browser's zone, with the exact time in the tooltip.
  const localTimes = (root) => {
    for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      time.textContent = day.format(at);
      time.dataset.local = "";
    }
  };

  const copyButtons = (root) => {
    if (!navigator.clipboard) return;
    for (const button of root.querySelectorAll("button[data-copy][hidden]")) {
      const words = button.textContent;
      button.hidden = false;
      button.setAttribute("aria-live", "polite");
      button.addEventListener("click", async () => {
        const source = document.getElementById(button.dataset.copy);
        const lines = source.matches("ol") ? [...source.children].map((line) => line.textContent.trim()) : [source.textContent];
        await navigator.clipboard.writeText(lines.join("\n"));
        button.textContent = button.dataset.done;
        setTimeout(() => { button.textContent = words; }, 2000);
      });
    }
  };

  const bytes = (text) => {
    const padded = text.replaceAll("-", "+").replaceAll("_", "/").padEnd(Math.ceil(text.length / 4) * 4, "=");
    return Uint8Array.from(atob(padded), (letter) => letter.charCodeAt(0));
  };
  const text = (buffer) => {
    const letters = String.fromCharCode(...new Uint8Array(buffer));
    return btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  };

  // The JSON form of WebAuthn, for browsers that don't have it built in.
  const decoded = (options) => {
    const described = (list) => list?.map((one) => ({ ...one, id: bytes(one.id) }));
    const full = { ...options, challenge: bytes(options.challenge) };
    if (options.user) full.user = { ...options.user, id: bytes(options.user.id) };
    if (options.allowCredentials) full.allowCredentials = described(options.allowCredentials);
    if (options.excludeCredentials) full.excludeCredentials = described(options.excludeCredentials);
    return full;
  };
  const encoded = (credential) => {
    const response = {};
    for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (credential.response[name]) response[name] = text(credential.response[name]);
    }
    if (credential.response.getTransports) response.transports = credential.response.getTransports();
    return { id: credential.id, rawId: text(credential.rawId), type: credential.type, response,
      extensions: credential.getClientExtensionResults() };
  };

  const ask = async (kind, begun) => {
    const publicKey = begun.publicKey ?? begun;
    const known = globalThis.PublicKeyCredential;
    if (kind === "create") {
      const options = known.parseCreationOptionsFromJSON?.(publicKey) ?? decoded(publicKey);
      return navigator.credentials.create({ publicKey: options });
    }
    const options = known.parseRequestOptionsFromJSON?.(publicKey) ?? decoded(publicKey);
    return navigator.credentials.get({ publicKey: options });
  };

  // A passkey's form asks the server for a challenge, the browser for its answer, and is then sent like any other.
  const passkeyForm = (form) => {
    const alert = form.querySelector("[data-alert]");
    const button = form.querySelector("button[type=submit]");
    if (!globalThis.PublicKeyCredential || !navigator.credentials) {
      alert.textContent = alert.dataset.missing;
      return;
    }
    button.disabled = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      alert.textContent = "";
      try {
        const response = await fetch(form.dataset.begin, { method: "POST", body: new URLSearchParams(new FormData(form)) })
          .catch(() => { throw new Error(alert.dataset.unreachable); });
        const begun = await response.json().catch(() => { throw new Error(alert.dataset.failed); });
        if (begun.go) {
          location.assign(begun.go);
          return;
        }
        if (!response.ok) throw new Error(begun.text ? `${begun.error}: ${begun.text}` : begun.error);
        const credential = await ask(form.dataset.passkey, begun.options).catch(() => { throw new Error(alert.dataset.failed); });
        form.elements._ceremony.value = begun.id;
        form.elements._answer.value = JSON.stringify(credential.toJSON?.() ?? encoded(credential));
        button.disabled = false;
        form.submit();
      } catch (error) {
        alert.textContent = error.message;
        button.disabled = false;
      }
    });
  };

  const enliven = (root) => {
    localTimes(root);
    copyButtons(root);
  };
  enliven(document);
  document.querySelectorAll("form[data-passkey]").forEach(passkeyForm);
  // On a narrow screen the areas are one line that scrolls: the current one is in sight.
  document.querySelector(".areas [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  // Parts that are fetched anew bring new times.
  const live = document.getElementById("live");
  if (live) new MutationObserver(() => enliven(live)).observe(live, { childList: true });
}
