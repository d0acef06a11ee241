# For line_stack.py: `ruby ruby_stack.rb NAME`, one HTTP library as its page shows it.
require "net/http"

BASE = URI(ENV.fetch("VOREL_BASE_URL"))
HEADERS = { "Authorization" => "Bearer #{ENV.fetch("VOREL_API_KEY")}", "Content-Type" => "application/json" }.freeze

def net_http
  http = Net::HTTP.start(BASE.host, BASE.port, read_timeout: 5)
  lambda do |path, body|
    response = http.post(path, body, HEADERS)
    response.value
    response.body
  end
end

def faraday(retry_too)
  require "faraday"
  client = Faraday.new(BASE.to_s, headers: HEADERS, request: { timeout: 5 }) do |it|
    it.request :retry if retry_too
    it.response :raise_error
    it.adapter Faraday.default_adapter
  end
  ->(path, body) { client.post(path, body).body }
end

def httparty
  require "httparty"
  lambda do |path, body|
    response = HTTParty.post("#{BASE}#{path}", body: body, headers: HEADERS, timeout: 5)
    raise response.code.to_s unless response.success?
    response.body
  end
end

def rest_client
  require "rest-client"
  client = RestClient::Resource.new(BASE.to_s, timeout: 5)
  ->(path, body) { client[path].post(body, HEADERS).body }
end

POST = {
  "net-http" => -> { net_http },
  "faraday" => -> { faraday(false) },
  "faraday-retry" => -> { faraday(true) },
  "httparty" => -> { httparty },
  "rest-client" => -> { rest_client },
}.fetch(ARGV[0]).call
$stdout.sync = true
while (line = $stdin.gets)
  path, body = line.chomp.split("\t", 2)
  begin
    puts POST.call(path, body).delete("\n")
  rescue StandardError => e
    puts "!#{e.message.delete("\n")}"
  end
end
