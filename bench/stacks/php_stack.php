<?php
// For line_stack.py: `php php_stack.php NAME`, one HTTP library as its page shows it.
$base = getenv('VOREL_BASE_URL');
$headers = ['Authorization' => 'Bearer ' . getenv('VOREL_API_KEY'), 'Content-Type' => 'application/json'];

function curl(string $base, array $headers): callable
{
    $handle = curl_init();
    $lines = array_map(fn ($name) => "$name: $headers[$name]", array_keys($headers));
    return function ($path, $body) use ($handle, $base, $lines) {
        curl_setopt_array($handle, [
            CURLOPT_URL => $base . $path, CURLOPT_POSTFIELDS => $body, CURLOPT_HTTPHEADER => $lines,
            CURLOPT_RETURNTRANSFER => true, CURLOPT_FAILONERROR => true, CURLOPT_TIMEOUT => 5,
        ]);
        $answer = curl_exec($handle);
        if ($answer === false) {
            throw new RuntimeException(curl_error($handle));
        }
        return $answer;
    };
}

function guzzle(string $base, array $headers, bool $retry): callable
{
    require_once 'GuzzleHttp/autoload.php';
    $stack = GuzzleHttp\HandlerStack::create();
    if ($retry) {
        $stack->push(GuzzleHttp\Middleware::retry(
            fn ($retries, $request, $response = null, $error = null) => $retries < 3
                && ($error instanceof GuzzleHttp\Exception\ConnectException || ($response && $response->getStatusCode() >= 500))
        ));
    }
    $client = new GuzzleHttp\Client(['base_uri' => $base, 'timeout' => 5, 'headers' => $headers, 'handler' => $stack]);
    return fn ($path, $body) => (string) $client->post($path, ['body' => $body])->getBody();
}

function symfony(string $base, array $headers, bool $retry): callable
{
    require_once 'Symfony/Component/HttpClient/autoload.php';
    $client = Symfony\Component\HttpClient\HttpClient::create(['base_uri' => $base, 'timeout' => 5, 'headers' => $headers]);
    if ($retry) {
        $client = new Symfony\Component\HttpClient\RetryableHttpClient($client);
    }
    return fn ($path, $body) => $client->request('POST', $path, ['body' => $body])->getContent();
}

$post = match ($argv[1]) {
    'curl' => curl($base, $headers),
    'guzzle' => guzzle($base, $headers, false),
    'guzzle-retry' => guzzle($base, $headers, true),
    'symfony' => symfony($base, $headers, false),
    'symfony-retry' => symfony($base, $headers, true),
};
while (($line = fgets(STDIN)) !== false) {
    [$path, $body] = explode("\t", rtrim($line, "\n"), 2);
    try {
        echo str_replace("\n", '', $post($path, $body)), "\n";
    } catch (Throwable $error) {
        echo '!', str_replace("\n", ' ', $error->getMessage()), "\n";
    }
}
