/**
 * The browsers that watch. Each has a stream of server-sent events.
 *
 *     ready ──an event does not fit into its socket──▶ behind: gets nothing ──the socket is empty──▶ gets everything anew, and is ready
 *                                                          └──for too long──▶ cut off
 *
 * So one event at most waits for a viewer, however slow it is.
 */
import type { ServerResponse } from 'node:http'

export const MOST_VIEWERS = 100
/** Events that a viewer may miss in a row before it is cut off. */
const PATIENCE = 30
/** ms after which a browser connects again. */
const RETRY = 2_000

type EventName = 'hello' | 'tick' | 'end'

interface Viewer {
  readonly response: ServerResponse
  /** Events that it has missed since its socket was full; undefined if it is ready. */
  missed: number | undefined
}

export class Viewers {
  readonly #viewers = new Set<Viewer>()
  readonly #hello: () => string
  readonly #onEmpty: () => void

  /** @param hello everything that a viewer needs. @param onEmpty the last viewer has left. */
  constructor(hello: () => string, onEmpty: () => void) {
    this.#hello = hello
    this.#onEmpty = onEmpty
  }

  get size(): number {
    return this.#viewers.size
  }

  /** @param response whose head is written. */
  add(response: ServerResponse): void {
    const viewer: Viewer = { response, missed: undefined }
    this.#viewers.add(viewer)
    response.on('drain', () => this.#onDrain(viewer))
    response.on('error', () => response.destroy())
    response.on('close', () => {
      this.#viewers.delete(viewer)
      if (this.#viewers.size === 0) this.#onEmpty()
    })
    this.#write(viewer, `retry: ${RETRY}\n${encode('hello', this.#hello())}`)
  }

  /** @param data JSON. */
  send(name: EventName, data: string): void {
    const text = encode(name, data)
    for (const viewer of this.#viewers) {
      if (viewer.missed === undefined) {
        this.#write(viewer, text)
        continue
      }
      viewer.missed += 1
      if (viewer.missed > PATIENCE) viewer.response.destroy()
    }
  }

  /** Ends all streams. */
  close(): void {
    for (const { response } of this.#viewers) response.end(encode('end', '{}'))
  }

  #onDrain(viewer: Viewer): void {
    const { missed } = viewer
    viewer.missed = undefined
    if (missed !== undefined && missed > 0) this.#write(viewer, encode('hello', this.#hello()))
  }

  #write(viewer: Viewer, text: string): void {
    if (!viewer.response.write(text)) viewer.missed = 0
  }
}

/** JSON has no line ends, so one line of data is enough. */
function encode(name: EventName, data: string): string {
  return `event: ${name}\ndata: ${data}\n\n`
}
