/** Writes answers, each with the headers that keep a browser from doing anything with it but what the page does. */
import type { ServerResponse } from 'node:http'
import type { Failure } from './wire.ts'

/** The page loads its own files, and asks its own server. It has no inline script or style, and makes no HTML from text. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}

export function writeHead(response: ServerResponse, status: number, headers: Readonly<Record<string, string>>): void {
  response.writeHead(status, { ...HEADERS, 'cache-control': 'no-store', ...headers })
}

export function answer(response: ServerResponse, status: number, type: string, body: string | Buffer): void {
  writeHead(response, status, { 'content-type': type, 'content-length': String(Buffer.byteLength(body)) })
  response.end(body)
}

export function answerJson(response: ServerResponse, status: number, data: object): void {
  answer(response, status, 'application/json; charset=utf-8', JSON.stringify(data))
}

export function fail(response: ServerResponse, status: number, error: string): void {
  answerJson(response, status, { error } satisfies Failure)
}
