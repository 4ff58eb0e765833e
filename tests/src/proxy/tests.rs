//! The proxy on loopback, between a program and a server that are bare sockets.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::Context as _;
use tokio::{
    net::UdpSocket,
    task::LocalSet,
    time::{Instant, timeout},
};

use super::{Cut, Direction, UdpProxy, Weather};

/// How long something may take that has to happen.
const SOON: Duration = Duration::from_secs(10);
/// What is sent after the rest, when the weather is calm again: what comes before it has arrived or never will.
const LAST: u16 = u16::MAX;

struct Line {
    proxy: UdpProxy,
    program: UdpSocket,
    server: UdpSocket,
}

fn on_a_line(story: impl AsyncFnOnce(Line) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let here = Ipv4Addr::LOCALHOST;
        let (program, server) = (UdpSocket::bind((here, 0)).await?, UdpSocket::bind((here, 0)).await?);
        let proxy = UdpProxy::start(here.into(), server.local_addr()?, 7).await?;
        program.connect(proxy.address()).await?;
        story(Line { proxy, program, server }).await
    })
}

impl Line {
    async fn says(&self, numbers: impl IntoIterator<Item = u16>) -> anyhow::Result<()> {
        for number in numbers {
            self.program.send(&number.to_be_bytes()).await?;
            // The proxy is on this thread.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Everything that has come when `LAST` comes.
    async fn hears(&self) -> anyhow::Result<Vec<u16>> {
        let mut heard = Vec::new();
        loop {
            let mut number = [0; 2];
            let received = timeout(SOON, self.server.recv_from(&mut number)).await;
            received.context("the last packet did not come")??;
            match u16::from_be_bytes(number) {
                LAST => return Ok(heard),
                number => heard.push(number),
            }
        }
    }

    /// Says these and hears what arrives of them; sockets hold little, so both at once.
    async fn passes(&self, numbers: impl IntoIterator<Item = u16>) -> anyhow::Result<Vec<u16>> {
        let all = numbers.into_iter().chain([LAST]);
        let ((), heard) = tokio::try_join!(self.says(all), self.hears())?;
        Ok(heard)
    }

    /// What arrives of a thousand packets in this weather, also of what is late.
    async fn thousand(&self, weather: Weather) -> anyhow::Result<Vec<u16>> {
        self.proxy.set(weather);
        let saying = async {
            self.says(0..1_000).await?;
            // Behind all of them: longer than any of their ways.
            let delay = weather.delay + weather.jitter + Duration::from_millis(60);
            self.proxy.set(Weather { delay, ..Weather::default() });
            self.says([LAST]).await
        };
        let ((), heard) = tokio::try_join!(saying, self.hears())?;
        Ok(heard)
    }
}

#[test]
fn in_calm_weather_everything_arrives_once_and_in_order_both_ways() -> anyhow::Result<()> {
    on_a_line(async |line| {
        assert_eq!(line.passes(0..500).await?, (0..500).collect::<Vec<_>>());
        line.says([7]).await?;
        let mut bytes = [0; 2];
        let (_, from) = timeout(SOON, line.server.recv_from(&mut bytes)).await??;
        line.server.send_to(b"answer", from).await?;
        let mut answer = [0; 16];
        let length = timeout(SOON, line.program.recv(&mut answer)).await??;
        assert_eq!(answer.get(..length), Some(b"answer".as_slice()));
        assert_eq!(line.proxy.counts().lost, 0);
        Ok(())
    })
}

#[test]
fn rain_loses_packets_and_says_how_many() -> anyhow::Result<()> {
    on_a_line(async |line| {
        let heard = line.thousand(Weather { lost_per_mille: 50, ..Weather::default() }).await?;
        assert!((920..980).contains(&heard.len()), "{} of 1000 came", heard.len());
        assert!(heard.is_sorted(), "what is lost moves nothing else");
        assert_eq!(line.proxy.counts().lost, 1_000 - u64::try_from(heard.len())?);
        Ok(())
    })
}

#[test]
fn wind_reorders_and_doubles_and_loses_nothing() -> anyhow::Result<()> {
    on_a_line(async |line| {
        let weather = Weather { doubled_per_mille: 100, held_back_per_mille: 100, ..Weather::default() };
        let mut heard = line.thousand(weather).await?;
        assert!(!heard.is_sorted(), "some were overtaken");
        let counts = line.proxy.counts();
        assert_eq!(u64::try_from(heard.len())?, 1_000 + counts.doubled);
        assert!(counts.doubled > 50 && counts.held_back > 50, "{counts:?}");
        heard.sort_unstable();
        heard.dedup();
        assert_eq!(heard, (0..1_000).collect::<Vec<_>>());
        Ok(())
    })
}

#[test]
fn a_long_way_takes_its_time_and_keeps_the_order() -> anyhow::Result<()> {
    on_a_line(async |line| {
        let delay = Duration::from_millis(40);
        line.proxy.set(Weather { delay, ..Weather::default() });
        let since = Instant::now();
        assert_eq!(line.passes(0..20).await?, (0..20).collect::<Vec<_>>());
        assert!(since.elapsed() >= delay, "{:?}", since.elapsed());
        Ok(())
    })
}

#[test]
fn a_cut_line_can_be_cut_one_way_and_heals() -> anyhow::Result<()> {
    on_a_line(async |line| {
        line.says([1]).await?;
        let mut bytes = [0; 2];
        let (_, proxied) = timeout(SOON, line.server.recv_from(&mut bytes)).await??;
        line.proxy.cut(Cut::One(Direction::Back));
        assert_eq!(line.passes([2]).await?, [2], "the other way is open");
        line.server.send_to(b"never", proxied).await?;
        while line.proxy.counts().lost == 0 {
            tokio::task::yield_now().await;
        }
        line.proxy.cut(Cut::Both);
        line.says([3]).await?;
        while line.proxy.counts().lost == 1 {
            tokio::task::yield_now().await;
        }
        line.proxy.cut(Cut::Nothing);
        assert_eq!(line.passes([4]).await?, [4], "what met the cut is gone");
        line.server.send_to(b"again", proxied).await?;
        let mut answer = [0; 16];
        let length = timeout(SOON, line.program.recv(&mut answer)).await??;
        assert_eq!(answer.get(..length), Some(b"again".as_slice()));
        Ok(())
    })
}
