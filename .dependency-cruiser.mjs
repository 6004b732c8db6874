// What may import what: packages only downwards and by the front door, and never in a circle.
import { layers, packages } from './scripts/workspace.mjs'

const sources = (names) => `^packages/(${names.join('|')})/src/`

/** The files a package offers to others, as `exports` lists them. */
const entries = packages.flatMap(({ name, manifest }) =>
  Object.values(manifest.exports).map((path) => `packages/${name}/${path.slice(2)}`.replaceAll('.', '\\.')),
)

/** One rule per layer: its packages must not reach their neighbours, nor anything that stands on them. */
const layerRules = layers.map((names, level) => ({
  name: `layer-${level}`,
  comment: `${names.join(', ')}: only what stands in a lower layer may be imported.`,
  severity: 'error',
  from: { path: sources(names) },
  to: { path: sources(layers.slice(level).flat()), pathNot: '^packages/$1/' },
}))

export default {
  forbidden: [
    ...layerRules,
    {
      name: 'no-cycle',
      comment:
        'A file must not import itself by way of others. Imports of types alone are erased, so they close no circle.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'front-door',
      comment: 'Another package is imported by its name, or by a subpath that its exports list.',
      severity: 'error',
      from: { path: '^packages/([^/]+)/' },
      to: { path: '^packages/[^/]+/', pathNot: ['^packages/$1/', ...entries.map((path) => `^${path}$`)] },
    },
    {
      name: 'resolvable',
      comment: 'Every import leads somewhere.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'source-not-test',
      comment: 'What is published must not import tests.',
      severity: 'error',
      from: { path: '^packages/[^/]+/src/' },
      to: { path: '^packages/[^/]+/test/' },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules'] },
    exclude: { path: ['/dist/', '/node_modules/\\.cache/'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
}
