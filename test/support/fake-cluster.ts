/**
 * Nodes of a cluster that never was: each answers as the test says, and so that every redirection can be had. What the test does not care about
 * is answered as by a node that serves all slots and on which everything succeeds.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import * as handOvers from '#src/redis/hand-over-scripts.js'
import * as scripts from '#src/redis/scripts.js'
import { firstCommand } from './scripted-proxy.ts'

/** RESP2, without the last line end; nothing: as usual. */
export type FakeAnswer = string | undefined

/** One element of CLUSTER SLOTS: without a host it is `null`. */
export interface FakeRange {
  readonly first: number
  readonly last: number
  readonly host: string | null
  readonly port: number
  /** Ports. */
  readonly replicas?: readonly number[]
}

export interface FakeCommand {
  readonly node: number
  readonly words: readonly string[]
}

/** What the scripts are called in a journal. */
export type ScriptName = 'acquire' | 'handOver' | 'renew' | 'release' | 'verify' | 'inspect'

/** They answer with a fence. */
const GRANTING: ReadonlySet<ScriptName> = new Set(['acquire', 'handOver'])

const NAMES = new Map<string, ScriptName>()
for (const [name, lua] of Object.entries({ ...scripts, ...handOvers })) {
  const short = name.startsWith('HAND_OVER') ? 'handOver' : (name.toLowerCase().split('_')[0] as ScriptName)
  NAMES.set(lua, short)
  NAMES.set(createHash('sha1').update(lua).digest('hex'), short)
}

export class FakeCluster {
  /** Answers a script call for a slot. */
  onScript: (node: number, call: { name: ScriptName; keys: readonly string[]; asking: boolean }) => FakeAnswer = () =>
    undefined
  /** What the nodes say they are. */
  mode: 'cluster' | 'standalone' = 'cluster'
  /** Holds back a node's answer to INFO, without which it is not used. */
  onGreeting: (node: number) => Promise<void> | undefined = () => undefined
  /** What CLUSTER SLOTS answers. */
  ranges: (node: number) => readonly FakeRange[] = () => [
    { first: 0, last: 16_383, host: '127.0.0.1', port: this.port(0) },
  ]
  /** Nodes that answer nothing. */
  readonly silent: Set<number> = new Set<number>()
  /** Everything that the nodes were asked, in order. */
  readonly journal: FakeCommand[] = []
  readonly #servers: Server[] = []
  readonly #sockets = new Map<Socket, number>()
  readonly #subscribers = new Set<Socket>()

  static async start(nodes: number): Promise<FakeCluster> {
    const cluster = new FakeCluster()
    for (let node = 0; node < nodes; node += 1) {
      const server = createServer((socket) => cluster.#serve(node, socket))
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      cluster.#servers.push(server)
    }
    return cluster
  }

  port(node: number): number {
    return ((this.#servers[node] as Server).address() as AddressInfo).port
  }

  address(node: number): string {
    return `127.0.0.1:${this.port(node)}`
  }

  /** The calls of scripts so far: which, and by which node. */
  get calls(): { readonly node: number; readonly name: ScriptName; readonly keys: readonly string[] }[] {
    return this.journal.flatMap(({ node, words }) => {
      const call = readCall(words)
      return call ? [{ node, ...call }] : []
    })
  }

  /** The names of the commands that a node was asked. */
  namesAt(node: number): string[] {
    return this.journal
      .filter((command) => command.node === node)
      .map(({ words }) =>
        words
          .slice(0, words[0]?.toLowerCase() === 'client' ? 2 : 1)
          .join(' ')
          .toLowerCase(),
      )
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets.keys()) socket.destroy()
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))))
  }

  /** The node tells its subscribers that these keys have changed, or that all are gone. */
  tellChange(node: number, keys?: readonly string[]): void {
    const message = array([bulk('message'), bulk('__redis__:invalidate'), keys ? array(keys.map(bulk)) : '*-1'])
    for (const socket of this.#subscribers) if (this.#sockets.get(socket) === node) socket.write(`${message}\r\n`)
  }

  /** Whether anybody has subscribed to the changes at the node. */
  isListenedTo(node: number): boolean {
    return [...this.#subscribers].some((socket) => this.#sockets.get(socket) === node)
  }

  /** The node is gone, for good. */
  kill(node: number): void {
    this.#servers[node]?.close()
    for (const [socket, of] of this.#sockets) if (of === node) socket.destroy()
  }

  #serve(node: number, socket: Socket): void {
    this.#sockets.set(socket, node)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#sockets.delete(socket)
      this.#subscribers.delete(socket)
    })
    let rest = Buffer.alloc(0)
    let asking = false
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      for (let command = firstCommand(rest); command; command = firstCommand(rest)) {
        rest = rest.subarray(command.length)
        const { words } = command
        this.journal.push({ node, words })
        if (words[0]?.toLowerCase() === 'subscribe') this.#subscribers.add(socket)
        if (this.silent.has(node)) continue
        const answer = `${this.#answer(node, words, asking)}\r\n`
        const held = words[0]?.toLowerCase() === 'info' ? this.onGreeting(node) : undefined
        if (held) void held.then(() => socket.write(answer))
        else socket.write(answer)
        asking = words[0]?.toLowerCase() === 'asking'
      }
    })
  }

  #answer(node: number, words: readonly string[], asking: boolean): string {
    const name = words[0]?.toLowerCase()
    const call = readCall(words)
    if (call) return this.onScript(node, { ...call, asking }) ?? (GRANTING.has(call.name) ? '*1\r\n:1' : '*0')
    if (name === 'hello') return '-ERR unknown command `HELLO`'
    if (name === 'info')
      return bulk(`redis_mode:${this.mode}\r\nrole:master\r\nrun_id:${node}\r\nmaster_replid:${node}\r\n`)
    if (name === 'cluster') return array(this.ranges(node).map(rangeOf))
    if (name === 'client') return words[1]?.toLowerCase() === 'id' ? `:${node + 1}` : '+OK'
    if (name === 'subscribe') return array([bulk('subscribe'), bulk(words[1] as string), ':1'])
    if (name === 'config') return '*0'
    return '+OK'
  }
}

/** Runs `work` with such a cluster, which ends afterwards. */
export async function withFakeCluster(nodes: number, work: (cluster: FakeCluster) => Promise<void>): Promise<void> {
  const cluster = await FakeCluster.start(nodes)
  try {
    await work(cluster)
  } finally {
    await cluster.stop()
  }
}

function readCall(words: readonly string[]): { name: ScriptName; keys: readonly string[] } | undefined {
  const name = NAMES.get(words[1] ?? '')
  if (name === undefined || !/^eval/i.test(words[0] ?? '')) return undefined
  return { name, keys: words.slice(3, 3 + Number(words[2])) }
}

function rangeOf({ first, last, host, port, replicas = [] }: FakeRange): string {
  const nodes = [port, ...replicas].map((at) => array([host === null ? '$-1' : bulk(host), `:${at}`, bulk(`id-${at}`)]))
  return array([`:${first}`, `:${last}`, ...nodes])
}

function array(elements: readonly string[]): string {
  return [`*${elements.length}`, ...elements].join('\r\n')
}

function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}`
}
