/** A process that gets SIGTERM while work runs under its locks. */
import { expect } from 'chai'
import { terminate } from './terminated-process.ts'

describe('a process that gets SIGTERM and closes its manager', () => {
  it('P7 keeps each lock until its work has ended', async () => {
    const seen = await terminate({ jobs: 20, longest: 1_500, stubborn: 0, drain: undefined })
    expect(seen).to.include({ done: 20, aborted: 0, early: 0, refused: 0, exitCode: 0 })
    expect(seen.fulfilled.done).to.equal(20)
  })

  it('P7 aborts work that outlasts the drain before its lock changes hands', async () => {
    const seen = await terminate({ jobs: 20, longest: 10, stubborn: 10, drain: 500 })
    expect(seen).to.include({ done: 10, aborted: 10, early: 0, refused: 0, exitCode: 0 })
    expect(seen.fulfilled).to.deep.equal({ done: 10, aborted: 0 })
  })
})
