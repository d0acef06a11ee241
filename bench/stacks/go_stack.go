// For line_stack.py: `go_stack NAME`, Go's net/http as its page shows it.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

var client = http.Client{Timeout: 5 * time.Second}

func post(path, body string, header bool) (string, error) {
	request, err := http.NewRequest("POST", os.Getenv("VOREL_BASE_URL")+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("VOREL_API_KEY"))
	request.Header.Set("Content-Type", "application/json")
	if header {
		request.Header.Set("Idempotency-Key", fmt.Sprint(time.Now().UnixNano()))
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = errors.New(response.Status)
	}
	return string(answer), err
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		path, body, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		answer, err := post(path, body, os.Args[1] == "idempotency-key")
		if err != nil {
			answer = "!" + err.Error()
		}
		fmt.Println(strings.ReplaceAll(answer, "\n", " "))
	}
}
