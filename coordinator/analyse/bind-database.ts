/**
 * An in-memory DuckDB that binds SQL on empty tables: it parses, prints and types expressions and
 * never sees a row. After `lock` it can reach no file and no setting can be changed.
 */
import { DuckDBInstance, DuckDBListValue, type DuckDBConnection } from '@duckdb/node-api';
import { fail, type FailureLocation } from '../../shared/failure.js';
import type { ColumnDef } from '../../shared/plan.js';
import { impossibleCast } from './impossible-casts.js';
import { joinsApart } from './joins-apart.js';
import {
  isNode,
  nodesOf,
  parseTree,
  printTree,
  type ParsedStatement,
  type TreeNode,
} from './syntax.js';
import { quoteName, quoteText } from '../../shared/sql-text.js';

/** What `json_serialize_sql` says: statements, or why there are none. */
export type Parsed =
  | { readonly ok: true; readonly statements: readonly ParsedStatement[] }
  | {
      readonly ok: false;
      /** DuckDB's own word: `parser` for a syntax error, another for what is not a SELECT. */
      readonly type: string;
      readonly message: string;
      /** From 0 in the text. */
      readonly position?: number;
    };

export interface FunctionFacts {
  readonly aggregate: boolean;
  readonly scalar: boolean;
  readonly volatile: boolean;
  /** Reads the session or the clock: one value in one query, another in the next. */
  readonly perQuery: boolean;
  /** Of a macro: functions and macros that it stands for. */
  readonly calls: readonly string[];
}

/** One process has one DuckDB version, so its functions are read once. */
let functionCatalogue: ReadonlyMap<string, FunctionFacts> | undefined;

export class BindDatabase {
  /** Names of all columns of all relations, in lower case. */
  private readonly columnNames = new Set<string>();

  private constructor(
    private readonly instance: DuckDBInstance,
    private readonly connection: DuckDBConnection,
    readonly functions: ReadonlyMap<string, FunctionFacts>,
    readonly version: string,
  ) {}

  static async open(): Promise<BindDatabase> {
    const instance = await DuckDBInstance.create(':memory:', {
      threads: '1',
      memory_limit: '512MB',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    });
    try {
      const connection = await instance.connect();
      await connection.run(`set TimeZone = 'UTC'; set temp_directory = ''`);
      functionCatalogue ??= await readFunctions(connection);
      const version = await connection.runAndReadAll('select version()');
      return new BindDatabase(
        instance,
        connection,
        functionCatalogue,
        String(version.getRows()[0]?.[0]),
      );
    } catch (error) {
      instance.closeSync();
      throw error;
    }
  }

  /** From here on nothing of this machine can be read. */
  async lock(): Promise<void> {
    await this.connection.run(`set enable_external_access = false; set lock_configuration = true`);
  }

  /**
   * Columns of one Parquet file as DuckDB types them. Only before `lock`.
   * @throws WindrowError E_PARQUET_INVALID
   */
  async describeFile(path: string): Promise<ColumnDef[]> {
    // DuckDB takes paths as patterns; a bracket makes each special character stand for itself.
    const literal = path.replace(/[*?[]/g, '[$&]');
    try {
      return await this.bound(
        `select * from read_parquet(${quoteText(literal)}, hive_partitioning = false)`,
      );
    } catch (error) {
      return fail('invalidSpec', 'E_PARQUET_INVALID', messageOf(error), {
        at: { file: path },
        hint: 'write the file again, or leave it out of the source',
        cause: error,
      });
    }
  }

  /**
   * An empty table that later steps are bound on.
   * @throws WindrowError E_TYPE_UNSUPPORTED for a type that SQL has no words for
   */
  async createRelation(id: string, columns: readonly ColumnDef[]): Promise<void> {
    const list = columns.map((column) => `${quoteName(column.name)} ${column.type}`).join(', ');
    try {
      await this.connection.run(`create table ${quoteName(id)} (${list})`);
    } catch (error) {
      for (const { name, type } of columns) await this.nameable(type, { step: id, column: name });
      throw error;
    }
    for (const { name } of columns) this.columnNames.add(name.toLowerCase());
  }

  /** A column's name at which, or right after which, the parser stopped: a word of SQL itself. */
  columnAt(text: string, position: number): string | undefined {
    const words = [
      /\w+\W*$/.exec(text.slice(0, position))?.[0].trim(),
      /^\w+/.exec(text.slice(position))?.[0],
    ];
    return words.find((word) => word !== undefined && this.columnNames.has(word.toLowerCase()));
  }

  /**
   * Result columns of a query, by binding it.
   * @throws Error with DuckDB's message, or with that of a cast that it would refuse when it runs
   */
  async describe(query: string): Promise<ColumnDef[]> {
    const columns = await this.bound(query);
    const cast = await impossibleCast(query, (statement) => this.rows(statement));
    if (cast !== undefined) throw new Error(cast);
    return columns;
  }

  private async nameable(type: string, at: FailureLocation): Promise<void> {
    await this.rows(`select cast(NULL as ${type})`).catch((error: unknown) =>
      fail('invalidSpec', 'E_TYPE_UNSUPPORTED', `${type} has fields without names`, {
        at,
        hint: `name them: {'a': x, 'b': y} instead of row(x, y)`,
        cause: error,
      }),
    );
  }

  private async bound(query: string): Promise<ColumnDef[]> {
    const result = await this.connection.runAndReadAll(`describe ${query}`);
    return result.getRows().map((row) => ({ name: String(row[0]), type: String(row[1]) }));
  }

  async rows(query: string): Promise<unknown[][]> {
    return (await this.connection.runAndReadAll(query)).getRows();
  }

  /** Parse trees of several texts, in order. */
  async parse(texts: readonly string[]): Promise<Parsed[]> {
    if (texts.length === 0) return [];
    const list = texts.map(quoteText).join(', ');
    const rows = await this.rows(
      `select json_serialize_sql(q) from (select unnest([${list}]) as q)`,
    );
    return rows.map((row) => readParsed(String(row[0])));
  }

  /** SQL text of several statements, in order. */
  async print(statements: readonly ParsedStatement[]): Promise<string[]> {
    if (statements.length === 0) return [];
    const list = statements
      .map((statement) =>
        quoteText(printTree({ error: false, statements: [joinsApart(statement)] })),
      )
      .join(', ');
    const rows = await this.rows(
      `select json_deserialize_sql(t::json) from (select unnest([${list}]) as t)`,
    );
    return rows.map((row) => String(row[0]));
  }

  /** SQL text of several expressions, in order. */
  async printExpressions(expressions: readonly TreeNode[]): Promise<string[]> {
    const [bare] = await this.parse(['select 1']);
    if (!bare?.ok) throw new Error('DuckDB cannot parse a constant');
    const [template] = bare.statements;
    if (!template) throw new Error('DuckDB parsed a constant into nothing');
    const texts = await this.print(
      expressions.map((expression) => ({
        ...template,
        node: { ...template.node, select_list: [{ ...expression, alias: '' }] },
      })),
    );
    return texts.map((text) => text.replace(/^SELECT /, ''));
  }

  close(): void {
    this.connection.closeSync();
    this.instance.closeSync();
  }
}

/** DuckDB's own words, without the class of the error and the drawing under the text. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text
    .replace(/\n\s*LINE \d+:[\s\S]*$/, '')
    .replace(/^\w[\w ]* Error: /, '')
    .replace(/\s*\n\s*/g, ' ')
    .trim();
}

function readParsed(json: string): Parsed {
  const tree = parseTree(json);
  if (!isNode(tree)) throw new Error('DuckDB returned no parse tree');
  if (tree['error'] !== true) {
    const statements = nodesOf(tree['statements']).flatMap((statement) =>
      isNode(statement['node']) ? [statement as ParsedStatement] : [],
    );
    return { ok: true, statements };
  }
  const position = Number(tree['position']);
  return {
    ok: false,
    type: String(tree['error_type']),
    message: String(tree['error_message']),
    ...(Number.isInteger(position) ? { position } : {}),
  };
}

async function readFunctions(
  connection: DuckDBConnection,
): Promise<ReadonlyMap<string, FunctionFacts>> {
  const result = await connection.runAndReadAll(
    `select lower(function_name), bool_or(function_type = 'aggregate'),
       bool_or(function_type in ('scalar', 'macro')), bool_or(stability = 'VOLATILE'),
       bool_or(stability = 'CONSISTENT_WITHIN_QUERY'),
       flatten(list(regexp_extract_all(lower(macro_definition), '(\\w+)"?\\(', 1))
         filter (function_type = 'macro' and macro_definition is not null))
     from duckdb_functions() group by all`,
  );
  return new Map(
    result.getRows().map(([name, aggregate, scalar, volatile, perQuery, calls]) => [
      String(name),
      {
        aggregate: aggregate === true,
        scalar: scalar === true,
        volatile: volatile === true,
        perQuery: perQuery === true,
        calls:
          calls instanceof DuckDBListValue
            ? calls.items.map(String).filter((called) => called !== name)
            : [],
      },
    ]),
  );
}
