/** Reads the answer to CLUSTER SLOTS. Pure. */
import { UnavailableError } from '../../errors.ts'
import { SLOTS } from './hash-slot.ts'

/** Where a node says that it can be reached. */
export interface Address {
  readonly host: string
  readonly port: number
}

interface MapNode extends Address {
  readonly id: string
}

/** Neighbouring slots with one master. */
export interface SlotRange {
  readonly first: number
  readonly last: number
  readonly master: MapNode
  readonly replicas: readonly MapNode[]
}

/**
 * @param asked the host that was asked: a node that knows no name for an endpoint means it.
 * @throws UnavailableError if the answer is none, or names no master.
 */
export function readSlots(reply: unknown, asked: string): readonly SlotRange[] {
  if (!Array.isArray(reply)) throw invalid(reply)
  if (reply.length === 0) throw new UnavailableError('the node knows of no slots: the cluster has not been made yet')
  return reply.map((range: unknown): SlotRange => {
    if (!Array.isArray(range)) throw invalid(range)
    const [first, last, ...nodes] = range as unknown[]
    if (!isSlot(first) || !isSlot(last) || first > last || nodes.length === 0) throw invalid(range)
    const [master, ...replicas] = nodes.map((node) => readNode(node, asked))
    return { first, last, master: master as MapNode, replicas }
  })
}

function readNode(node: unknown, asked: string): MapNode {
  if (!Array.isArray(node)) throw invalid(node)
  const [host, port, id] = node as unknown[]
  if (!Number.isInteger(port) || (port as number) < 1 || (port as number) > 65_535) throw invalid(node)
  return { host: hostOf(host, asked), port: port as number, id: String(id) }
}

/** `?` stands for a hostname that the node has not announced. */
export function hostOf(host: unknown, asked: string): string {
  return typeof host === 'string' && host !== '' && host !== '?' ? host : asked
}

function isSlot(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < SLOTS
}

function invalid(part: unknown): UnavailableError {
  return new UnavailableError(`CLUSTER SLOTS was answered with ${JSON.stringify(part)?.slice(0, 100)}`)
}
