// Reads a published log with Go's x/mod/sumdb, which shares no code with ours: the note's signature, every entry's inclusion,
// and that the log continues each older checkpoint that is given. With `prove`, prints the lines of a consistency proof.
//
//	verify URL VKEY [OLD-CHECKPOINT…]
//	verify prove URL VKEY OLD-SIZE
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type tiles struct{ url string }

func (t tiles) Height() int { return 8 }

// Go's paths name the height, C2SP's don't: it is always 8.
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range wanted {
		data, err := get(t.url + "/" + strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		read = append(read, data)
	}
	return read, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func get(url string) ([]byte, error) {
	answer, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, answer.Status, data)
	}
	return data, err
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}

// The head that a checkpoint says, if the key signed it.
func head(checkpoint []byte, vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	check(err)
	opened, err := note.Open(checkpoint, note.VerifierList(verifier))
	check(err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		check(fmt.Errorf("the note is no checkpoint of %s", verifier.Name()))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := tlog.ParseHash(lines[2])
	check(err)
	return tlog.Tree{N: size, Hash: root}
}

func entries(url string, size int64) [][]byte {
	var all [][]byte
	for at := int64(0); at < size; at += 256 {
		width := size - at
		if width > 256 {
			width = 256
		}
		tile := tlog.Tile{H: 8, L: 0, N: at / 256, W: int(width)}
		data, err := get(url + "/" + strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1))
		check(err)
		for reader := bytes.NewReader(data); reader.Len() > 0; {
			var length uint16
			check(binary.Read(reader, binary.BigEndian, &length))
			entry := make([]byte, length)
			_, err := io.ReadFull(reader, entry)
			check(err)
			all = append(all, entry)
		}
	}
	return all
}

func main() {
	proving := len(os.Args) > 1 && os.Args[1] == "prove"
	arguments := os.Args[1:]
	if proving {
		arguments = arguments[1:]
	}
	url, vkey := arguments[0], arguments[1]
	checkpoint, err := get(url + "/checkpoint")
	check(err)
	now := head(checkpoint, vkey)
	hashes := tlog.TileHashReader(now, tiles{url})
	if proving {
		old, err := strconv.ParseInt(arguments[2], 10, 64)
		check(err)
		proof, err := tlog.ProveTree(now.N, old, hashes)
		check(err)
		for _, hash := range proof {
			fmt.Println(base64.StdEncoding.EncodeToString(hash[:]))
		}
		return
	}
	all := entries(url, now.N)
	if int64(len(all)) != now.N {
		check(fmt.Errorf("%d entries instead of %d", len(all), now.N))
	}
	for index, entry := range all {
		proof, err := tlog.ProveRecord(now.N, int64(index), hashes)
		check(err)
		check(tlog.CheckRecord(proof, now.N, now.Hash, int64(index), tlog.RecordHash(entry)))
	}
	for _, file := range arguments[2:] {
		data, err := os.ReadFile(file)
		check(err)
		old := head(data, vkey)
		proof, err := tlog.ProveTree(now.N, old.N, hashes)
		check(err)
		check(tlog.CheckTree(proof, now.N, now.Hash, old.N, old.Hash))
	}
	fmt.Printf("accepted: %d entries, %d older checkpoints\n", now.N, len(arguments)-2)
}
