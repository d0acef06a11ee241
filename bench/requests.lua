-- The requests of wrk: POST with a key and a body. Arguments: key, body, name of this run.
-- "@unique@" in the body becomes a text that no other request of any run has: run, thread, counter.
local threads = 0
local placeholder = "@unique@"
local head, tail, fixed, unique
local sent = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  wrk.method = "POST"
  wrk.headers["Authorization"] = "Bearer " .. args[1]
  wrk.headers["Content-Type"] = "application/json"
  unique = args[3] .. "-" .. number .. "-%09d"
  -- wrk builds one request, with its length. The others differ from it in the counter alone.
  local body = args[2]:gsub(placeholder, placeholder .. ("x"):rep(#unique:format(0) - #placeholder))
  fixed = wrk.format(nil, nil, nil, body)
  local from = fixed:find(placeholder, 1, true)
  if from then
    head = fixed:sub(1, from - 1)
    tail = fixed:sub(from + #unique:format(0))
  end
end

function request()
  if not head then
    return fixed
  end
  sent = sent + 1
  return head .. unique:format(sent) .. tail
end

-- wrk counts the responses with status 400 or above by itself. A `response` function here would count each status, but
-- it would make wrk slow.
function done(summary, latency, requests)
  local e = summary.errors
  io.write((
    "\n{\"requests\": %d, \"seconds\": %.6f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"rejected\": %d, \"failed\": %d}\n"
  ):format(
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.status, e.connect + e.read + e.write + e.timeout))
end
