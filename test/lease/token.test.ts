import { expect } from 'chai'
import { ownerOf, sinceOf, tokensOf } from '#src/lease/token.js'

const MANY = 20_000
/** The bits of a token that say when it was made, and those that are random. */
const TIME_BITS = 48
const RANDOM_BITS = 84
const NOW = Date.UTC(2026, 6, 1, 12, 30, 15, 678)

/** The bits of a token, first the highest of its first character. */
function bitsOf(token: string): string {
  // Four characters more: base64 comes in groups of four, and 22 of them have a rest.
  const bytes = Buffer.from(`${token}AA`, 'base64url')
  return [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
}

describe('tokensOf', () => {
  const createToken = tokensOf('', () => NOW)
  const tokens = Array.from({ length: MANY }, createToken)

  it('makes 22 characters that need no quoting anywhere', () => {
    for (const token of tokens) expect(token).to.match(/^[A-Za-z0-9_-]{22}$/)
  })

  it('writes when a token was made, in ms, in its first 48 bits', () => {
    for (const token of tokens) expect(Number.parseInt(bitsOf(token).slice(0, TIME_BITS), 2)).to.equal(NOW)
  })

  it('writes each time that comes, also if the clock goes back', () => {
    const times = [NOW, NOW + 1, NOW + 86_400_000, NOW - 5, NOW]
    const left = [...times]
    const create = tokensOf('web-1:4711', () => left.shift() as number)
    expect(times.map(() => sinceOf(create(), NOW + 86_400_000))).to.deep.equal(times)
  })

  it('never makes the same token twice, though all are made at one moment', () => {
    expect(new Set(tokens).size).to.equal(MANY)
  })

  it('shares no bits between two tokens', () => {
    // Neighbours come from one pool: a step that is too small would repeat the end of one at the start of the next.
    const parts = tokens.slice(0, 1_000).flatMap((token) => {
      const bits = bitsOf(token).slice(TIME_BITS)
      return [0, 6, 12, 18, 24, 30, 36, 42, 48].map((start) => bits.slice(start, start + 36))
    })
    // 9,000 values out of 2^36: two that are equal by chance are seen once in 1,600 runs, five never.
    expect(new Set(parts).size).to.be.greaterThan(parts.length - 5)
  })

  it('sets each of 84 random bits in about half of all tokens', () => {
    const set = Array.from({ length: RANDOM_BITS }, () => 0)
    for (const token of tokens) {
      const bits = bitsOf(token).slice(TIME_BITS)
      for (let bit = 0; bit < RANDOM_BITS; bit += 1) set[bit] = (set[bit] as number) + Number(bits[bit])
    }
    // Eight standard deviations on either side.
    for (const count of set) expect(count).to.be.within(MANY * 0.47, MANY * 0.53)
  })

  it('puts the owner in front, and a colon between', () => {
    expect(tokensOf('web-1:4711')()).to.match(/^web-1:4711:[A-Za-z0-9_-]{22}$/)
  })
})

describe('ownerOf', () => {
  for (const owner of ['web-1:4711', ':', 'line\nline', 'Größe 漢字 🔒']) {
    it(`finds the owner ${JSON.stringify(owner)} again`, () => {
      expect(ownerOf(tokensOf(owner)())).to.equal(owner)
    })
  }

  it('finds no owner if there is no label', () => {
    expect(ownerOf(tokensOf('')())).to.equal(undefined)
  })

  it('finds no owner in the tokens of other libraries', () => {
    for (const token of ['', 'worker-7', '2fd4e1c6-7a2d-48fc-ad1e-0d4b6c1a2b3c', 'a:b', ':AAAAAAAAAAAAAAAAAAAAAA']) {
      expect(ownerOf(token), token).to.equal(undefined)
    }
  })
})

describe('sinceOf', () => {
  for (const owner of ['', 'web-1:4711', ':', 'line\nline', 'Größe 漢字 🔒']) {
    it(`finds the time behind the owner ${JSON.stringify(owner)}`, () => {
      expect(sinceOf(tokensOf(owner, () => NOW)(), NOW)).to.equal(NOW)
    })
  }

  it('finds the time of this machine if it gets none', () => {
    const before = Date.now()
    expect(sinceOf(tokensOf('')(), Date.now())).to.be.within(before, Date.now())
  })

  it('finds no time in the tokens of other libraries', () => {
    for (const token of [
      '',
      'worker-7',
      '2fd4e1c6-7a2d-48fc-ad1e-0d4b6c1a2b3c',
      'da39a3ee5e6b4b0d3255bfef95601890afd80709',
      'a:b',
      'a:AAAAAAAAAAAAAAAAAAAAAA',
      'a:______________________',
    ]) {
      expect(sinceOf(token, NOW), token).to.equal(undefined)
    }
  })

  it('finds no time that lies further ahead than clocks differ, or before there were tokens', () => {
    const at = (time: number): number | undefined => sinceOf(tokensOf('a', () => time)(), NOW)
    expect(at(NOW + 3_600_000)).to.equal(NOW + 3_600_000)
    expect(at(NOW + 90_000_000)).to.equal(undefined)
    expect(at(Date.UTC(2024, 0, 1))).to.equal(undefined)
  })
})
