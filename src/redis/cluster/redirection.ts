/** Reads MOVED and ASK, with which a node names another. Pure. */
import { type Address, hostOf } from './slots-reply.ts'

export interface Redirection extends Address {
  /** MOVED: the other node serves the slot. ASK: this node does, but this key has been moved already. */
  readonly type: 'MOVED' | 'ASK'
  readonly slot: number
}

const REDIRECTION = /^(MOVED|ASK) (\d+) (\S*):(\d+)\b/

/** @param asked the host of the node that answered: it means itself with an empty host. */
export function readRedirection(message: string, asked: string): Redirection | undefined {
  const [, type, slot, host, port] = REDIRECTION.exec(message) ?? []
  if (type === undefined) return undefined
  return { type: type as Redirection['type'], slot: Number(slot), host: hostOf(host, asked), port: Number(port) }
}
