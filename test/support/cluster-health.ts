/** Whether a cluster is whole, and what is missing if it is not. */
import { type NodeView, readView } from './cluster-view.ts'
import type { RedisServer } from './redis-server.ts'

/** Why the cluster of these nodes is not whole; undefined: it is. */
export async function findFault(nodes: readonly RedisServer[]): Promise<string | undefined> {
  const views = new Map<RedisServer, readonly NodeView[]>()
  for (const node of nodes) {
    if (!node.isRunning) return `the node at port ${node.port} does not run`
    const state = (await node.command('CLUSTER', 'INFO')) as string
    if (!state.includes('cluster_state:ok')) return `the node at port ${node.port} does not serve`
    views.set(node, readView((await node.command('CLUSTER', 'NODES')) as string))
  }
  const pictures = new Set([...views.values()].map(pictureOf))
  if (pictures.size > 1) return 'the nodes do not agree'
  for (const [node, view] of views) {
    const bad = view.find(({ flags, isConnected }) => !isConnected || flags.has('fail') || flags.has('fail?'))
    if (bad !== undefined) return `the node at port ${node.port} does not reach the one at port ${bad.port}`
    const masterId = view.find(({ flags }) => flags.has('myself'))?.masterId
    if (masterId === undefined) continue
    const port = view.find(({ id }) => id === masterId)?.port
    const fault = await findLag(nodes.find((other) => other.port === port) as RedisServer, node)
    if (fault !== undefined) return fault
  }
  return undefined
}

/** Who follows whom and who serves what, as one node sees it. */
function pictureOf(view: readonly NodeView[]): string {
  const lines = view.map(({ id, masterId, slots }) => [id, masterId, ...slots].join(' '))
  return lines.toSorted((one, other) => (one < other ? -1 : 1)).join('\n')
}

/**
 * Why a replica does not have all of its master's data. The master counts a replica as online before that has loaded the data, and `WAIT` on
 * another connection than the writer's is no barrier: so both are asked how far they are.
 */
async function findLag(master: RedisServer, replica: RedisServer): Promise<string | undefined> {
  const offset = Number((await master.info('replication')).get('master_repl_offset'))
  const own = await replica.info('replication')
  const isThere = own.get('master_link_status') === 'up' && Number(own.get('slave_repl_offset')) >= offset
  return isThere ? undefined : `the replica at port ${replica.port} has not all of its master's data`
}
