/**
 * Asking the API. Everything the Studio knows comes through here or through `live.ts`.
 *
 * A token stands in the session's storage and in the Authorization header, never in an address. Answers to writes name a
 * position; questions that follow ask for an answer at or after it, so what was just done is seen.
 */
import { signal } from "@preact/signals";
import { parsed } from "../lib/json";
import type { Problem as ProblemBody } from "./types";

const TOKEN_PLACE = "runfold.token";
const RETRIES_MS: readonly number[] = [200, 600, 1_500];

/** What the API refused, in its words. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly facts: Record<string, unknown> = {},
  ) {
    super(detail);
    this.name = "Problem";
  }

  /** The server did not answer, or says that it will later. */
  get isTemporary(): boolean {
    return this.status === 0 || this.status === 503 || this.status === 429;
  }
}

/** The server asks for a token, and has none that it knows. */
export const isSignedOut = signal(false);
/** Whether a token is used at all: then there is something to sign out of. */
export const hasToken = signal(readToken() !== null);

function readToken(): string | null {
  try {
    return sessionStorage.getItem(TOKEN_PLACE);
  } catch {
    return null;
  }
}

let token: string | null = readToken();

export function signIn(given: string): void {
  token = given.trim();
  try {
    sessionStorage.setItem(TOKEN_PLACE, token);
  } catch {
    // It holds until the page is left.
  }
  hasToken.value = true;
  isSignedOut.value = false;
}

export function signOut(): void {
  token = null;
  sessionStorage.removeItem(TOKEN_PLACE);
  hasToken.value = false;
  isSignedOut.value = true;
}

export function authorization(): Record<string, string> {
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}

/** Where the last write of this page ended; questions are answered at or after it. */
let position: string | null = null;

export type Query = Record<string, string | readonly string[] | number | boolean | null | undefined>;

export interface Ask {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  query?: Query;
  body?: unknown;
  /** Ends the request; the promise is then rejected with an AbortError, which nobody needs to show. */
  signal?: AbortSignal | undefined;
  headers?: Record<string, string>;
}

/** The path of a resource: segments are escaped. */
export function apiPath(...segments: readonly string[]): string {
  return `/api/v1/${segments.map(encodeURIComponent).join("/")}`;
}

/** The answer's JSON. Throws a Problem, or the AbortError of `signal`. */
export async function ask<T>(path: string, options: Ask = {}): Promise<T> {
  const response = await fetchAnswer(path, options);
  return parsed(await response.text()) as T;
}

/** A change, sent until it is answered: under one key, so it takes effect once. */
export async function write<T>(path: string, method: "POST" | "PUT" | "PATCH" | "DELETE", body?: unknown): Promise<T> {
  const headers = { "Idempotency-Key": key() };
  for (const wait of [...RETRIES_MS, null]) {
    try {
      return await ask<T>(path, { method, body, headers });
    } catch (error) {
      if (wait === null || !(error instanceof Problem && error.isTemporary)) throw error;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
  throw new Error("unreachable");
}

/** The response itself, if it is a good one: for files, which are not JSON. */
export async function fetchAnswer(path: string, options: Ask = {}): Promise<Response> {
  const { method = "GET", query, body, signal, headers } = options;
  const response = await send(path + queryText(query), {
    method,
    signal: signal ?? null,
    cache: "no-store",
    headers: {
      Accept: "application/json",
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...(position === null || method !== "GET" ? {} : { "Runfold-Position": position }),
      ...authorization(),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (response.ok) {
    if (method !== "GET") position = response.headers.get("Runfold-Position") ?? position;
    return response;
  }
  throw await problemOf(response);
}

async function send(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "unreachable", "The server does not answer.");
  }
}

/** A refusal as a Problem; what it means for the whole page is noted here. */
export async function problemOf(response: Response): Promise<Problem> {
  let body: Partial<ProblemBody> = {};
  try {
    body = (await response.json()) as ProblemBody;
  } catch {
    // Not ours: something between here and the server answered.
  }
  if (response.status === 401) isSignedOut.value = true;
  if (body.code === "position_not_reached") position = null; // a restored store, or one that lags: ask again as it is
  return new Problem(
    response.status,
    body.code ?? `http_${response.status}`,
    body.detail ?? `The server answered ${response.status} ${response.statusText}.`,
    (body.facts as Record<string, unknown> | undefined) ?? {},
  );
}

export function queryText(query: Query = {}): string {
  const values = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === "") continue;
    if (typeof value === "object") for (const item of value) values.append(name, item);
    else values.append(name, String(value));
  }
  const text = values.toString();
  return text ? `?${text}` : "";
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** 128 random bits. Not crypto.randomUUID, which plain HTTP on other hosts does not have. */
function key(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
}
