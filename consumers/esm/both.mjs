import { createRequire } from 'node:module'
import * as ioredis from 'ioredis'
import * as leasewheel from 'leasewheel'
import { scenario } from '../scenario.cjs'

// Two copies of the package in one program: the backend comes from the other one.
const memory = createRequire(import.meta.url)('leasewheel/memory')

await scenario({ ioredis, leasewheel, memory }, process.env.REDIS_URL)
