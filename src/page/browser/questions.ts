/** What the page asks its server. All addresses are relative, so the page works under any path. */
import type { Failure, LockName, LockPage, LockStory, ReleaseAnswer, ReleaseRequest } from '../wire.ts'

/** The server refuses. */
export class RefusedError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export interface SearchText {
  readonly text: string
  readonly owner: string
}

export function findLocks({ text, owner }: SearchText, cursor: string | null, signal: AbortSignal): Promise<LockPage> {
  const query = new URLSearchParams()
  if (text !== '') query.set('text', text)
  if (owner !== '') query.set('owner', owner)
  if (cursor !== null) query.set('cursor', cursor)
  return ask<LockPage>(`locks.json?${String(query)}`, { signal })
}

export function tellStory(name: LockName): Promise<LockStory> {
  return ask<LockStory>('lock.json', post(name))
}

export function releaseLock(request: ReleaseRequest, token: string): Promise<ReleaseAnswer> {
  return ask<ReleaseAnswer>('release.json', post(request, { 'x-leasewheel-token': token }))
}

function post(body: object, headers: Readonly<Record<string, string>> = {}): RequestInit {
  return {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { ...headers, 'content-type': 'application/json' },
  }
}

async function ask<T>(path: string, init: RequestInit): Promise<T> {
  const response = await fetch(path, init)
  if (response.ok) return (await response.json()) as T
  const { error } = (await response.json().catch(() => ({ error: response.statusText }))) as Failure
  throw new RefusedError(response.status, error)
}
