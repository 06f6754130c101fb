/**
 * Promises that the cases take turns, round by round, so that what changes on the machine meanwhile meets all of them;
 * and that each turn has a server that nobody has used yet.
 */
import { type RedisServer, withRedis } from '../test/support/redis-server.ts'
import type { Entrant } from './entrant.ts'
import { progress } from './progress.ts'

export interface Case {
  readonly entrant: Entrant
}

export interface Turns<Some extends Case, Measurement> {
  /** By the order in which they took turns. */
  readonly turns: readonly { readonly of: Some; readonly round: number; readonly measurement: Measurement }[]
  /** The server's version, by its own word. */
  readonly redis: string
}

/** Runs `work` with servers that nobody has used yet. @param work takes their address, and one that can tell its version */
type Site<Some> = (one: Some, work: (url: string, server: RedisServer) => Promise<void>) => Promise<void>

const oneServer: Site<unknown> = (_, work) => withRedis((server) => work(server.url, server))

/**
 * What fails is tried once more, and told: on a machine that was busy with something else for a moment, all the turns
 * before it should not have been for nothing.
 *
 * @throws Error that names whose turn it was
 */
export async function takeTurns<Some extends Case, Measurement>(
  cases: readonly Some[],
  rounds: number,
  describe: (one: Some) => string,
  measure: (one: Some, url: string) => Promise<Measurement>,
  site: Site<Some> = oneServer,
): Promise<Turns<Some, Measurement>> {
  const turns: Turns<Some, Measurement>['turns'][number][] = []
  let redis = 'unknown'
  for (let round = 1; round <= rounds; round++) {
    for (const one of cases) {
      progress(`round ${round} of ${rounds}: ${one.entrant.label}, ${describe(one)}`)
      const turn = (): Promise<void> =>
        site(one, async (url, server) => {
          turns.push({ of: one, round, measurement: await measure(one, url) })
          redis = (await server.info('server')).get('redis_version') ?? redis
        })
      await turn().catch(async (error: unknown) => {
        progress(`${one.entrant.label} could not be measured and has another try: ${String(error)}`)
        await turn().catch((again: unknown) => {
          throw new Error(`${one.entrant.label} could not be measured, twice`, { cause: again })
        })
      })
    }
  }
  return { turns, redis }
}
