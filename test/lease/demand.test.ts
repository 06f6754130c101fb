/** What cohorts count together, against what a look at each of them says. */
import { expect } from 'chai'
import fc from 'fast-check'
import { Cohort, mergeCohorts, type CohortTerms, type Member } from '#src/lease/cohort.js'
import { Demand } from '#src/lease/demand.js'

class Plain implements Member<Plain> {
  cohort: Cohort<Plain> | undefined = undefined
  rank: number

  constructor(rank: number) {
    this.rank = rank
  }
}

const TERMS: readonly CohortTerms[] = [
  { ttl: 30_000, timeout: 1_000, autoRenew: true },
  { ttl: 7_001, timeout: 1_000, autoRenew: true },
  { ttl: 30_000, timeout: 1_000, autoRenew: false },
]

describe('the demand of cohorts', () => {
  it('is what a look at each cohort says, whatever happens to them, and 0 in the end', () => {
    const step = fc.record({
      what: fc.constantFrom('form', 'leave', 'split', 'queue', 'send', 'merge', 'reroute'),
      which: fc.nat(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, ordered) => {
        const demand = new Demand()
        const spread = ordered ? { crowd: -1 } : undefined
        const cohorts: Cohort<Plain>[] = []
        const check = (): void => {
          const queued = cohorts.filter(({ renewal }) => renewal === 'queued')
          expect(demand.behind).to.equal(queued.reduce((sum, { size }) => sum + size, 0))
          const needed = cohorts.filter(({ terms }) => terms.autoRenew)
          const rate = needed.reduce((sum, { size, terms }) => sum + (size * 3_000) / terms.ttl, 0)
          expect(demand.demand).to.be.closeTo(rate, 1e-6)
          for (const route of [-1, 0, 1]) {
            const own = cohorts.filter((cohort) => cohort.route === route)
            const count = (some: readonly Cohort<Plain>[]): number => some.reduce((sum, { size }) => sum + size, 0)
            expect(demand.of(route).leases).to.equal(count(own))
            expect(demand.of(route).behind).to.equal(count(own.filter(({ renewal }) => renewal === 'queued')))
            const needs = own.filter(({ terms }) => terms.autoRenew)
            const part = needs.reduce((sum, { size, terms }) => sum + (size * 3_000) / terms.ttl, 0)
            expect(demand.of(route).demand).to.be.closeTo(part, 1e-6)
          }
        }
        for (const { what, which } of steps) {
          const cohort = cohorts[which % cohorts.length]
          if (what === 'form') {
            const times = { confirmedAt: 0, deadline: 1_000, phase: 0 }
            const formed = new Cohort<Plain>(TERMS[which % TERMS.length] as CohortTerms, times, demand, spread)
            for (let count = which % 5; count >= 0; count -= 1) formed.add(new Plain((which * count) % 7))
            cohorts.push(formed)
          } else if (cohort === undefined) continue
          else if (what === 'queue') cohort.renewal = 'queued'
          else if (what === 'reroute') cohort.route = (which % 3) - 1
          else if (what === 'send') cohort.renewal = which % 2 === 0 ? { sentAt: 0 } : undefined
          else if (what === 'leave' && cohort.size > 0) cohort.remove(cohort.members[which % cohort.size] as Plain)
          else if (what === 'split') cohorts.push(cohort.split(cohort.members.slice(0, which % 3)))
          else if (what === 'merge') mergeCohorts(cohorts.slice(), () => undefined)
          check()
        }
        for (const cohort of cohorts) for (const member of cohort.members) cohort.remove(member)
        for (const { demand: rate, behind, leases } of [demand, demand.of(-1), demand.of(0), demand.of(1)]) {
          expect([rate, behind, leases]).to.deep.equal([0, 0, 0])
        }
      }),
      { seed: 99, numRuns: 300 },
    )
  })
})
