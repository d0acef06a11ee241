/** Starts the mock that is installed on this machine: a program in Python, which this package does not bring. */

import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { clearTimeout, Connection, type Duration, milliseconds, setTimeout } from "./connection.js";
import { connect, type ConnectOptions, Mock } from "./mock.js";

export interface StartOptions extends ConnectOptions {
  /** The program and its first arguments. By default VOREL_MOCK_COMMAND, `vorel-mock`, or `python3 -m vorel_mock`. */
  command?: readonly [string, ...string[]];
  /** Options of `vorel-mock serve`, such as ["--seed", "1"]. */
  args?: readonly string[];
  /** For the start, 30s by default. */
  timeout?: Duration;
}

const USUAL: readonly (readonly [string, ...string[]])[] = [
  ["vorel-mock"],
  ["python3", "-m", "vorel_mock"],
  ["python", "-m", "vorel_mock"],
];
const HOW_TO_INSTALL =
  "vorel-mock is not installed. Run `pip install vorel-mock`, which needs Python 3.11 or newer; or set " +
  "VOREL_MOCK_COMMAND to the path of the program, such as .venv/bin/vorel-mock; or VOREL_MOCK_URL to the URL of a mock that runs";
/** Characters of the mock's errors that an error here shows. */
const SHOWN = 2000;

/** The program is not there, or not the module that Python should run. */
class NotInstalled extends Error {}

/**
 * Start a mock on a free port; it ends with this process. If VOREL_MOCK_URL is set, connect to that one instead.
 * Throws Error if it cannot be started; the message says why.
 */
export async function start(options: StartOptions = {}): Promise<Mock> {
  const url = process.env["VOREL_MOCK_URL"];
  if (url && options.command === undefined) {
    if (options.args?.length) {
      throw new TypeError(`args: VOREL_MOCK_URL names a mock that runs already, at ${url}; give ${options.args[0]} to that one`);
    }
    try {
      return await connect(url, options);
    } catch (error) {
      if (error instanceof Error) error.message = `VOREL_MOCK_URL: ${error.message.replace(/^baseUrl: /, "")}`;
      throw error;
    }
  }
  const own = process.env["VOREL_MOCK_COMMAND"];
  const given: readonly [string, ...string[]] | undefined = options.command ?? (own ? [own] : undefined);
  for (const command of given ? [given] : USUAL) {
    try {
      return await run(command, options);
    } catch (error) {
      if (!(error instanceof NotInstalled)) throw error;
    }
  }
  const name = options.command ? "command" : "VOREL_MOCK_COMMAND";
  throw new Error(given ? `${name}: there is no ${given.join(" ")}. ${HOW_TO_INSTALL}` : HOW_TO_INSTALL);
}

async function run(command: readonly [string, ...string[]], options: StartOptions): Promise<Mock> {
  const token = options.controlToken ?? (process.env["VOREL_MOCK_CONTROL_TOKEN"] || undefined);
  const [program, ...first] = command;
  const args = [...first, "--host", "localhost", "--port", "0", "--quiet", "--json-logs", "--end-with-stdin", ...(options.args ?? [])];
  const child = spawn(program, args, {
    stdio: ["pipe", "pipe", "pipe"], // however this process ends, the first one is closed then
    env: { ...process.env, ...(token === undefined ? {} : { VOREL_MOCK_CONTROL_TOKEN: token }) }, // not where `ps` shows it
    windowsHide: true,
  });
  try {
    const baseUrl = await listening(child, program, options.timeout ?? "30s");
    // A program that forgets `stop` can end; the mock ends with it.
    child.unref();
    for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as Socket | null)?.unref();
    return new Mock(new Connection(baseUrl, token), () => stopped(child));
  } catch (error) {
    child.kill();
    throw error;
  }
}

/** Return the URL, once the mock accepts requests. What it prints to stderr later goes to that of this process. */
function listening(child: ChildProcess, program: string, timeout: Duration): Promise<string> {
  return new Promise((resolve, reject) => {
    let out = "";
    let err = "";
    let ready = false;
    const timer = setTimeout(() => fail(`did not start within ${timeout}`), milliseconds("timeout", timeout));
    const fail = (problem: string) => {
      clearTimeout(timer);
      reject(new Error(`vorel-mock ${problem}${err ? `:\n${err.trim().slice(-SHOWN)}` : ""}`));
    };
    child.once("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      reject(error.code === "ENOENT" ? new NotInstalled() : new Error(`command: ${program} cannot be run: ${error.message}`));
    });
    child.once("close", (code, signal) => {
      if (/No module named '?vorel_mock/.test(err)) {
        clearTimeout(timer);
        reject(new NotInstalled());
      }
      fail(`ended at its start with ${signal ?? `code ${code}`}`);
    });
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      if (ready) process.stderr.write(text);
      else err += text;
    });
    child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      if (ready) return;
      out += text;
      const url = /"base_url": ?"([^"]+)"/.exec(out)?.[1];
      if (url === undefined) return;
      ready = true;
      clearTimeout(timer);
      resolve(url);
    });
  });
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.ref();
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill();
  await ended;
}
