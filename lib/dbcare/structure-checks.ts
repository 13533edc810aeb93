import type { CareCheck } from "./check.ts"
import { constraintsCheck } from "./constraints-check.ts"
import { duplicateIndexesCheck } from "./duplicate-indexes-check.ts"
import { extensionVersionsCheck } from "./extension-versions-check.ts"
import { foreignKeysWithoutIndexCheck } from "./foreign-keys-without-index-check.ts"
import { indexBloatCheck } from "./index-bloat-check.ts"
import { invalidIndexesCheck } from "./invalid-indexes-check.ts"
import { rowSecurityCheck } from "./row-security-check.ts"
import { sequencesCheck } from "./sequences-check.ts"
import { settingsCheck } from "./settings-check.ts"
import { tableBloatCheck } from "./table-bloat-check.ts"
import { tableSizesCheck } from "./table-sizes-check.ts"
import { tablesWithoutPrimaryKeyCheck } from "./tables-without-primary-key-check.ts"
import { unusedIndexesCheck } from "./unused-indexes-check.ts"

/** Questions about what the database is made of: tables, indexes, constraints, sequences, rights, settings. */
export const structureChecks: readonly CareCheck[] = [
  sequencesCheck,
  rowSecurityCheck,
  settingsCheck,
  invalidIndexesCheck,
  constraintsCheck,
  tableSizesCheck,
  tableBloatCheck,
  indexBloatCheck,
  duplicateIndexesCheck,
  unusedIndexesCheck,
  foreignKeysWithoutIndexCheck,
  tablesWithoutPrimaryKeyCheck,
  extensionVersionsCheck,
]
