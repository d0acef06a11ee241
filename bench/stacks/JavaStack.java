// For line_stack.py: `java JavaStack NAME`, one HTTP library as its page shows it.
import java.io.*;
import java.net.*;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import static java.nio.charset.StandardCharsets.UTF_8;

public class JavaStack {
    interface Post { String to(String url, String body) throws Exception; }

    static final String KEY = "Bearer " + System.getenv("VOREL_API_KEY");

    static String checked(int status, String body) throws IOException {
        if (status >= 300) throw new IOException("status " + status);
        return body;
    }

    static Post httpUrlConnection() {
        return (url, body) -> {
            var connection = (HttpURLConnection) new URL(url).openConnection();
            connection.setRequestMethod("POST");
            connection.setRequestProperty("Authorization", KEY);
            connection.setRequestProperty("Content-Type", "application/json");
            connection.setReadTimeout(5000);
            connection.setDoOutput(true);
            connection.getOutputStream().write(body.getBytes(UTF_8));
            try (var in = connection.getInputStream()) {
                return checked(connection.getResponseCode(), new String(in.readAllBytes(), UTF_8));
            }
        };
    }

    static Post httpClient() {
        var client = HttpClient.newHttpClient();
        return (url, body) -> {
            var request = HttpRequest.newBuilder(URI.create(url)).timeout(Duration.ofSeconds(5))
                .header("Authorization", KEY).header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body)).build();
            var response = client.send(request, HttpResponse.BodyHandlers.ofString());
            return checked(response.statusCode(), response.body());
        };
    }

    static Post okHttp() {
        var client = new okhttp3.OkHttpClient.Builder().readTimeout(5, TimeUnit.SECONDS).build();
        var json = okhttp3.MediaType.get("application/json");
        return (url, body) -> {
            var request = new okhttp3.Request.Builder().url(url).header("Authorization", KEY)
                .post(okhttp3.RequestBody.create(json, body.getBytes(UTF_8))).build();
            try (var response = client.newCall(request).execute()) {
                return checked(response.code(), response.body().string());
            }
        };
    }

    static Post apache4() {
        var config = org.apache.http.client.config.RequestConfig.custom().setSocketTimeout(5000).build();
        var client = org.apache.http.impl.client.HttpClients.custom().setDefaultRequestConfig(config).build();
        return (url, body) -> {
            var request = new org.apache.http.client.methods.HttpPost(url);
            request.setHeader("Authorization", KEY);
            request.setEntity(new org.apache.http.entity.StringEntity(
                body, org.apache.http.entity.ContentType.APPLICATION_JSON));
            try (var response = client.execute(request)) {
                var answer = org.apache.http.util.EntityUtils.toString(response.getEntity());
                return checked(response.getStatusLine().getStatusCode(), answer);
            }
        };
    }

    static Post apache5() {
        var config = org.apache.hc.client5.http.config.RequestConfig.custom()
            .setResponseTimeout(5, TimeUnit.SECONDS).build();
        var client = org.apache.hc.client5.http.impl.classic.HttpClients.custom()
            .setDefaultRequestConfig(config).build();
        return (url, body) -> {
            var request = new org.apache.hc.client5.http.classic.methods.HttpPost(url);
            request.setHeader("Authorization", KEY);
            request.setEntity(new org.apache.hc.core5.http.io.entity.StringEntity(
                body, org.apache.hc.core5.http.ContentType.APPLICATION_JSON));
            return client.execute(request, response -> checked(
                response.getCode(), org.apache.hc.core5.http.io.entity.EntityUtils.toString(response.getEntity())));
        };
    }

    static Post of(String name) {
        switch (name) {
            case "HttpURLConnection": return httpUrlConnection();
            case "HttpClient": return httpClient();
            case "OkHttp": return okHttp();
            case "Apache4": return apache4();
            default: return apache5();
        }
    }

    public static void main(String[] arguments) throws Exception {
        var post = of(arguments[0]);
        var lines = new BufferedReader(new InputStreamReader(System.in, UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            var parts = line.split("\t", 2);
            String answer;
            try {
                answer = post.to(System.getenv("VOREL_BASE_URL") + parts[0], parts[1]);
            } catch (Exception error) {
                answer = "!" + error;
            }
            System.out.println(answer.replace("\n", " "));
        }
        System.exit(0);
    }
}
