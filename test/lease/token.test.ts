import { expect } from 'chai'
import { ownerOf, tokensOf } from '#src/lease/token.js'

const MANY = 20_000

describe('tokensOf', () => {
  const createToken = tokensOf('')
  const tokens = Array.from({ length: MANY }, createToken)

  it('makes 22 characters that need no quoting anywhere', () => {
    for (const token of tokens) expect(token).to.match(/^[A-Za-z0-9_-]{22}$/)
  })

  it('makes 128 bits', () => {
    for (const token of tokens) {
      expect(Buffer.from(token, 'base64url').toString('base64url')).to.equal(token)
      expect(Buffer.from(token, 'base64url').length).to.equal(16)
    }
  })

  it('never makes the same token twice', () => {
    expect(new Set(tokens).size).to.equal(MANY)
  })

  it('shares no bytes between two tokens', () => {
    // Neighbours come from one pool: a step that is too small would repeat the end of one at the start of the next.
    const halves = tokens.slice(0, 1_000).flatMap((token) => {
      const bytes = Buffer.from(token, 'base64url')
      return [0, 4, 8, 12].map((start) => bytes.toString('hex', start, start + 4))
    })
    // 4,000 values out of 2^32: two that are equal by chance are seen once in 500 runs, five never.
    expect(new Set(halves).size).to.be.greaterThan(halves.length - 5)
  })

  it('sets every bit in about half of all tokens', () => {
    const set = Array.from({ length: 128 }, () => 0)
    for (const token of tokens) {
      const bytes = Buffer.from(token, 'base64url')
      for (let bit = 0; bit < 128; bit += 1) {
        set[bit] = (set[bit] as number) + (((bytes[bit >>> 3] as number) >>> (bit & 7)) & 1)
      }
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
