import { expect } from 'chai'
import { createToken } from '#src/token.js'

const MANY = 20_000

describe('createToken', () => {
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

  it('never makes one twice', () => {
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
})
