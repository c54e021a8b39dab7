// The Go peer: net/http and its ServeMux on one processor (GOMAXPROCS=1), as the servers beside it
// have one core. bench/run builds it with "go build"; it needs nothing but the standard library.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"runtime"
)

type message struct {
	Message string `json:"message"`
}

func plaintext(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Server", "go")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("Hello, World!"))
}

func jsonMessage(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(message{"Hello, World!"})
	if err != nil {
		http.Error(w, err.Error(), 500)
		return
	}
	h := w.Header()
	h.Set("Server", "go")
	h.Set("Content-Type", "application/json; charset=utf-8")
	w.Write(body)
}

func main() {
	port := flag.Int("port", 0, "port to listen on, at 127.0.0.1")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	mux := http.NewServeMux()
	mux.HandleFunc("/plaintext", plaintext)
	mux.HandleFunc("/json", jsonMessage)
	log.Fatal(http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", *port), mux))
}
