/**
 * Manifests against published schemas: Kubernetes' own kinds by kubernetes-models (values by its
 * validators, unknown fields by the compiler and its types), KEDA's by the schemas of its resources.
 */
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { Ajv } from 'ajv';
import ts from 'typescript';
import keda from './keda-schemas.json' with { type: 'json' };
import type { Manifest } from './rendered.js';

interface Model {
  new (data: unknown): { validate(): void };
}
const require = createRequire(import.meta.url);

type Schema = Readonly<Record<string, unknown>>;

/** @returns what is wrong, each with the kind and the name of its manifest */
export function schemaProblems(manifests: readonly Manifest[]): string[] {
  const ours = manifests.filter(({ apiVersion }) => !apiVersion.startsWith('keda.sh/'));
  const others = manifests.filter(({ apiVersion }) => apiVersion.startsWith('keda.sh/'));
  return [...ours.flatMap(valueProblems), ...fieldProblems(ours), ...others.flatMap(kedaProblems)];
}

function valueProblems(manifest: Manifest): string[] {
  try {
    new (modelOf(manifest))(manifest).validate();
    return [];
  } catch (error) {
    return [`${nameOf(manifest)}: ${(error as Error).message}`];
  }
}

/** One module a kind: the package as a whole takes seconds to load. */
function moduleOf({ apiVersion, kind }: Manifest): string {
  return `kubernetes-models/${apiVersion}/${kind}`;
}

function modelOf(manifest: Manifest): Model {
  return (require(moduleOf(manifest)) as Record<string, Model>)[manifest.kind]!;
}

/** The compiler refuses members of an object literal that its type does not have. */
function fieldProblems(manifests: readonly Manifest[]): string[] {
  const file = resolve(import.meta.dirname, 'checked-manifests.ts');
  const lines = manifests.map((manifest, k) => {
    const type = `import('${moduleOf(manifest)}').I${manifest.kind}`;
    return `export const m${k}: ${type} = ${JSON.stringify(manifest)};`;
  });
  const text = lines.join('\n');
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2022.d.ts'],
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => path === file || fileExists(path);
  host.readFile = (path) => (path === file ? text : readFile(path));
  host.getSourceFile = (path, ...rest) =>
    path === file
      ? ts.createSourceFile(path, text, ts.ScriptTarget.ES2022)
      : getSourceFile(path, ...rest);
  const found = ts.getPreEmitDiagnostics(ts.createProgram([file], options, host));
  return found.map(({ start, messageText }) => {
    const before = text.slice(0, start ?? 0).split('\n').length;
    const manifest = manifests[before - 1];
    const message = ts.flattenDiagnosticMessageText(messageText, ' ');
    return `${manifest ? nameOf(manifest) : 'the manifests'}: ${message}`;
  });
}

function kedaProblems(manifest: Manifest): string[] {
  const schema = (keda as unknown as Record<string, Schema>)[manifest.kind];
  if (!schema) throw new Error(`there is no schema of ${manifest.kind}`);
  const ajv = new Ajv({ strict: false, allErrors: true, formats: { int32: true, int64: true } });
  ajv.validate(closed(schema), manifest);
  return (ajv.errors ?? []).map(
    ({ instancePath, message, params }) =>
      `${nameOf(manifest)}: ${instancePath} ${message ?? ''} ${JSON.stringify(params)}`,
  );
}

/** The API server drops what a schema does not name: here it is a mistake. */
function closed(schema: Schema): Schema {
  const inner = Object.entries(schema).map(([key, value]) => [key, closedMember(key, value)]);
  const open = 'additionalProperties' in schema || schema['x-kubernetes-preserve-unknown-fields'];
  const isMetadata = !('properties' in schema);
  return {
    ...(Object.fromEntries(inner) as Schema),
    ...(open || isMetadata ? {} : { additionalProperties: false }),
  };
}

function closedMember(key: string, value: unknown): unknown {
  if (key === 'properties') {
    const members = Object.entries(value as Record<string, Schema>);
    return Object.fromEntries(members.map(([name, member]) => [name, closed(member)]));
  }
  return key === 'items' || (key === 'additionalProperties' && typeof value === 'object')
    ? closed(value as Schema)
    : value;
}

function nameOf({ kind, metadata }: Manifest): string {
  return `${kind} ${metadata.name}`;
}
