/** Finds the entries of a batch that a server refuses, with few more requests. */
import { expect } from 'chai'
import fc from 'fast-check'
import { cutUp } from '#src/redis/cut-up.js'

const FORBIDDEN = 'NOPERM this user has no permissions to access one of the keys used as arguments'
const UNCLEAR = 'ERR something new'

function reply(message: string): Error {
  return Object.assign(new Error(message), { command: { name: 'evalsha' } })
}

/** Asks for entries 0 to `count` - 1, of which some make a server refuse what they are in. */
async function ask(count: number, refused: (entry: number) => string | undefined) {
  const batches: (readonly number[])[] = []
  const attempt = async (entries: readonly number[]): Promise<readonly string[]> => {
    batches.push(entries)
    const message = entries.map(refused).find((text) => text !== undefined)
    if (message !== undefined) throw reply(message)
    return entries.map((entry) => `answer ${entry}`)
  }
  const entries = Array.from({ length: count }, (_, index) => index)
  const thrown = await attempt(entries).catch((error: unknown) => error)
  batches.length = 0
  const alone: number[] = []
  const outcomes = await cutUp(entries, thrown, attempt, (error, entry) => {
    if (entry !== undefined) alone.push(entry)
    return { type: 'unknown', error: error as Error }
  })
  const answers = outcomes.map((outcome) => (typeof outcome === 'string' ? outcome : outcome.error.message))
  return { answers, batches, alone }
}

describe('cutUp', () => {
  it('P20 finds the entries that a server refuses, with at most n + ⌈√n⌉ more requests', () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 300 }), async (bad) => {
        fc.pre(bad.includes(true))
        const { answers, batches, alone } = await ask(bad.length, (entry) => (bad[entry] ? FORBIDDEN : undefined))
        expect(answers).to.deep.equal(bad.map((isBad, index) => (isBad ? FORBIDDEN : `answer ${index}`)))
        expect(alone.toSorted((a, b) => a - b)).to.deep.equal([...bad.keys()].filter((index) => bad[index]))
        expect(batches.length).to.be.at.most(bad.length + Math.ceil(Math.sqrt(bad.length)))
      }),
      { numRuns: 50 },
    ))

  it('P20 finds one among 256 with 32 requests, in two rounds', async () => {
    for (const culprit of [0, 100, 255]) {
      const { batches, alone } = await ask(256, (entry) => (entry === culprit ? FORBIDDEN : undefined))
      expect(batches).to.have.length(32)
      expect(alone).to.deep.equal([culprit])
    }
  })

  it('sends no more requests for an entry that was alone', async () => {
    const { batches, answers } = await ask(1, () => FORBIDDEN)
    expect(batches).to.deep.equal([])
    expect(answers).to.deep.equal([FORBIDDEN])
  })

  it('sends no more requests after a server-wide fault, or without a reply', async () => {
    for (const message of ["READONLY You can't write", 'CROSSSLOT Keys', "NOPERM ... run the 'evalsha' command"]) {
      const { batches, answers } = await ask(10, () => message)
      expect(batches).to.deep.equal([])
      expect(answers).to.deep.equal(Array.from({ length: 10 }, () => message))
    }
    let asked = 0
    const broken = new Error('The connection broke')
    const outcomes = await cutUp(
      [1, 2],
      broken,
      async () => {
        asked += 1
        return []
      },
      (error) => ({ type: 'unknown', error: error as Error }),
    )
    expect(asked).to.equal(0)
    expect(outcomes).to.deep.equal([1, 2].map(() => ({ type: 'unknown', error: broken })))
  })

  it('finds one entry refused for unclear reasons, and stops if all are', async () => {
    const one = await ask(256, (entry) => (entry === 7 ? UNCLEAR : undefined))
    expect(one.alone).to.deep.equal([7])
    const spread = await ask(256, (entry) => (entry % 16 === 3 ? UNCLEAR : undefined))
    expect(spread.answers.filter((answer) => answer === UNCLEAR)).to.have.length(16)
    const all = await ask(256, () => UNCLEAR)
    expect(all.batches).to.have.length(32)
    expect(all.answers).to.deep.equal(Array.from({ length: 256 }, () => UNCLEAR))
  })
})
