/**
 * Promises that the cases take turns, round by round, so that what changes on the machine meanwhile meets all of them; and
 * that each turn has a server that nobody has used yet. May import progress.ts and the tests' server.
 */
import { withRedis } from '../test/support/redis-server.ts'
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

/** @throws Error that names whose turn it was */
export async function takeTurns<Some extends Case, Measurement>(
  cases: readonly Some[],
  rounds: number,
  describe: (one: Some) => string,
  measure: (one: Some, url: string) => Promise<Measurement>,
): Promise<Turns<Some, Measurement>> {
  const turns: Turns<Some, Measurement>['turns'][number][] = []
  let redis = 'unknown'
  for (let round = 1; round <= rounds; round++) {
    for (const one of cases) {
      progress(`round ${round} of ${rounds}: ${one.entrant.label}, ${describe(one)}`)
      await withRedis(async (server) => {
        turns.push({ of: one, round, measurement: await measure(one, server.url) })
        redis = (await server.info('server')).get('redis_version') ?? redis
      }).catch((error: unknown) => {
        throw new Error(`${one.entrant.label} could not be measured`, { cause: error })
      })
    }
  }
  return { turns, redis }
}
