import * as ioredis from 'ioredis'
import * as leasewheel from 'leasewheel'
import * as memory from 'leasewheel/memory'
import { scenario } from '../scenario.cjs'

test('a lease is acquired, renewed and released', () =>
  scenario({ ioredis, leasewheel, memory }, process.env.REDIS_URL))
