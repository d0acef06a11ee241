"""An integration as it is often written, in a language of which only the HTTP part matters: `line_stack.py CMD ARG...`.

CMD is started once. It reads lines of a path, a tab and a body; it posts the body, and writes the body of the response
in a line, or `!` and what went wrong.
"""

import json
import subprocess
import sys
import uuid


def main():
    program = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    for task in json.load(sys.stdin)["tasks"]:
        if task["do"] == "handoff":
            path = f"/api/v1/leads/{task['lead_id']}/handoff"
            body = {name: task[name] for name in ("reason", "summary") if name in task}
        else:
            path = "/api/v1/crm/create-record"
            body = {"object": task["object"], "fields": task["fields"], "idempotency_key": str(uuid.uuid4())}
        program.stdin.write(f"{path}\t{json.dumps(body)}\n")
        program.stdin.flush()
        line = program.stdout.readline()
        try:
            answer = json.loads(line)
            ids = {name: answer[name] for name in ("handoff_id", "external_id") if name in answer}
            outcome = {"outcome": "done", **ids}
        except ValueError:
            outcome = {"outcome": "failed", "error": line.lstrip("!").strip()[:200]}
        print(json.dumps({"id": task["id"], **outcome}), flush=True)
    program.stdin.close()
    program.wait()


main()
