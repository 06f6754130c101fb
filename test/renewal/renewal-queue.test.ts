import { expect } from 'chai'
import { Demand } from '#src/lease/demand.js'
import { Cohort } from '#src/lease/cohort.js'
import { type LeaseCohort, LeaseRecord } from '#src/lease/lease-record.js'
import { PlainQueue } from '#src/renewal/renewal-queue.js'

const TERMS = { ttl: 1_000, timeout: 100, autoRenew: true }

/** A cohort whose renewal waits to be sent. */
function cohortOf(size: number, deadline: number): LeaseCohort {
  const cohort = new Cohort<LeaseRecord>(TERMS, { confirmedAt: 0, deadline, phase: 0 }, new Demand())
  for (let index = 0; index < size; index += 1) cohort.add(new LeaseRecord(`key ${index}`, 'token', TERMS))
  cohort.renewal = 'queued'
  return cohort
}

function queueOf(...cohorts: readonly LeaseCohort[]): PlainQueue {
  const queue = new PlainQueue(0, 4)
  for (const cohort of cohorts) queue.add(cohort)
  return queue
}

/** Takes until there is no more. */
function takeAll(queue: PlainQueue, answered = 0): (readonly LeaseCohort[])[] {
  const batches: (readonly LeaseCohort[])[] = []
  for (let batch = queue.take(answered); batch.length > 0; batch = queue.take(answered)) batches.push(batch)
  return batches
}

describe('PlainQueue', () => {
  it('returns the nearest deadlines first, as many leases together as are allowed', () => {
    const [a, b, c, d] = [cohortOf(2, 400), cohortOf(2, 100), cohortOf(3, 300), cohortOf(2, 200)]
    const queue = queueOf(a, b, c, d)
    expect(queue.peek()).to.equal(b)
    expect(takeAll(queue)).to.deep.equal([[b, d], [c], [a]])
    expect(queue.peek()).to.equal(undefined)
  })

  it('returns a larger cohort alone', () => {
    const [large, small] = [cohortOf(9, 100), cohortOf(1, 200)]
    expect(takeAll(queueOf(large, small))).to.deep.equal([[large], [small]])
  })

  it('P18 P21 postpones cohorts whose answer would be late until no other waits', () => {
    const [late, later, soon] = [cohortOf(1, 100), cohortOf(1, 120), cohortOf(4, 500)]
    const queue = queueOf(late, later, soon)
    expect(takeAll(queue, 200)).to.deep.equal([[soon], [late, later]])
  })

  it('forgets cohorts that no longer wait', () => {
    const [answered, empty, waiting, late] = [cohortOf(1, 100), cohortOf(0, 200), cohortOf(1, 300), cohortOf(1, 50)]
    const queue = queueOf(answered, empty, waiting, late)
    expect(queue.take(60)).to.deep.equal([answered, waiting])
    const again = queueOf(cohortOf(1, 10), late)
    expect(again.take(60)).to.have.length(2)
    answered.renewal = undefined
    expect(takeAll(queueOf(answered, empty))).to.deep.equal([])
  })

  it('P21 returns a cohort once that was taken back and queued again', () => {
    const cohort = cohortOf(1, 100)
    const queue = queueOf(cohort)
    cohort.renewal = undefined
    cohort.renewal = 'queued'
    queue.add(cohort)
    expect(takeAll(queue)).to.deep.equal([[cohort]])
  })
})
