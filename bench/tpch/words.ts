/**
 * The words of TPC-H (section 4.2.2.13 of its specification) and a pool of text made from them, from which comments
 * are cut. Frequent words stand first and are drawn more often; the same pool on every machine.
 */

const list = (words: string): string[] => words.split(/\s+/).filter((word) => word !== '');
const lines = (words: string): string[] => words.split(',').map((word) => word.trim());

export const colours = list(`
  almond antique aquamarine azure beige bisque black blanched blue blush brown burlywood burnished chartreuse chiffon
  chocolate coral cornflower cornsilk cream cyan dark deep dim dodger drab firebrick floral forest frosted gainsboro
  ghost goldenrod green grey honeydew hot indian ivory khaki lace lavender lawn lemon light lime linen magenta maroon
  medium metallic midnight mint misty moccasin navajo navy olive orange orchid pale papaya peach peru pink plum powder
  puff purple red rose rosy royal saddle salmon sandy seashell sienna sky slate smoke snow spring steel tan thistle
  tomato turquoise violet wheat white yellow`);

export const segments = list('AUTOMOBILE BUILDING FURNITURE MACHINERY HOUSEHOLD');
export const priorities = lines('1-URGENT, 2-HIGH, 3-MEDIUM, 4-NOT SPECIFIED, 5-LOW');
export const instructions = lines('DELIVER IN PERSON, COLLECT COD, NONE, TAKE BACK RETURN');
export const modes = lines('REG AIR, AIR, RAIL, SHIP, TRUCK, MAIL, FOB');
export const regions = lines('AFRICA, AMERICA, ASIA, EUROPE, MIDDLE EAST');

/** A type is one word of each, a container one of each. */
export const typeWords = [
  list('STANDARD SMALL MEDIUM LARGE ECONOMY PROMO'),
  list('ANODIZED BURNISHED PLATED POLISHED BRUSHED'),
  list('TIN NICKEL BRASS STEEL COPPER'),
] as const;
export const containerWords = [
  list('SM LG MED JUMBO WRAP'),
  list('CASE BOX BAG JAR PKG PACK CAN DRUM'),
] as const;

/** In the order of their keys, each with the key of its region. */
export const nations: readonly (readonly [name: string, region: number])[] = lines(
  `ALGERIA 0, ARGENTINA 1, BRAZIL 1, CANADA 1, EGYPT 4, ETHIOPIA 0, FRANCE 3, GERMANY 3, INDIA 2, INDONESIA 2, IRAN 4,
  IRAQ 4, JAPAN 2, JORDAN 4, KENYA 0, MOROCCO 0, MOZAMBIQUE 0, PERU 1, CHINA 2, ROMANIA 3, SAUDI ARABIA 4, VIETNAM 2,
  RUSSIA 3, UNITED KINGDOM 3, UNITED STATES 1`,
).map((line) => [line.slice(0, -2), Number(line.slice(-1))]);

interface Words {
  readonly usual: readonly string[];
  readonly rare: readonly string[];
  /** Share of the draws that the rare ones get. */
  readonly rareShare: number;
}

const nouns: Words = {
  usual: lines(
    `packages, requests, accounts, deposits, packages, requests, accounts, deposits, foxes, ideas, theodolites,
    pinto beans, instructions`,
  ),
  rare: lines(
    `dependencies, excuses, platelets, asymptotes, courts, dolphins, multipliers, sauternes, warthogs, frets, dinos,
    attainments, somas, Tiresias, patterns, forges, braids, hockey players, frays, warhorses, dugouts, notornis,
    epitaphs, pearls, tithes, waters, orbits, gifts, sheaves, depths, sentiments, decoys, realms, pains, grouches,
    escapades`,
  ),
  rareShare: 0.2,
};
const verbs: Words = {
  usual: list('sleep wake are cajole haggle sleep wake are cajole haggle nag use boost'),
  rare: list(`affix detect integrate maintain nod was lose sublate solve thrash promise engage hinder print x-ray breach
    eat grow impress mold poach serve run dazzle snooze doze unwind kindle play hang believe doubt`),
  rareShare: 0.25,
};
const adjectives: Words = {
  usual:
    list(`special pending unusual express bold special pending unusual express bold regular regular regular regular
    regular final final final final ironic ironic ironic ironic even even even silent`),
  rare: list(`furious sly careful blithe quick fluffy slow quiet ruthless thin close dogged daring brave stealthy
    permanent enticing idle busy`),
  rareShare: 0.06,
};
const adverbs: Words = {
  usual: list(
    `furiously slyly carefully blithely furiously slyly carefully blithely quickly quickly fluffily`,
  ),
  rare: list(`sometimes always never slowly quietly ruthlessly thinly closely doggedly daringly bravely stealthily
    permanently enticingly idly busily regularly finally ironically evenly boldly silently`),
  rareShare: 0.08,
};
const prepositions: Words = {
  usual: lines(
    `about, above, according to, across, after, about, above, according to, across, after, against, along, against,
    along, alongside of, among, around`,
  ),
  rare: lines(
    `at, atop, before, behind, beneath, beside, besides, between, beyond, by, despite, during, except, for, from,
    in place of, inside, instead of, into, near, of, on, outside, over, past, since, through, throughout, to, toward,
    under, until, up, upon, without, with, within`,
  ),
  rareShare: 0.1,
};
const auxiliaries: Words = {
  usual: lines(
    `do, may, might, shall, will, would, can, could, should, ought to, must, will have to, shall have to,
    could have to, should have to, must have to, need to, try to`,
  ),
  rare: [],
  rareShare: 0,
};

export const passages = 4096;
export const passageLength = 400;

/** Sentences of the specification's grammar, cut into passages of equal length. */
export function textPool(seed: number): string[] {
  const next = generator(seed);
  const chance = (share: number): boolean => next() < share;
  const any = (words: readonly string[]): string => words[Math.floor(next() * words.length)] ?? '';
  const draw = ({ usual, rare, rareShare }: Words): string => any(chance(rareShare) ? rare : usual);
  const noun = (): string => {
    const kind = next();
    if (kind < 0.11) return draw(nouns);
    if (kind < 0.33) return `${draw(adjectives)} ${draw(nouns)}`;
    if (kind < 0.44) return `${draw(adjectives)}, ${draw(adjectives)} ${draw(nouns)}`;
    return `${draw(adverbs)} ${draw(adjectives)} ${draw(nouns)}`;
  };
  const verb = (): string =>
    [
      chance(0.03) ? `${draw(auxiliaries)} ` : '',
      draw(verbs),
      chance(0.55) ? ` ${draw(adverbs)}` : '',
    ].join('');
  const place = (): string => `${draw(prepositions)} the ${noun()}`;
  const sentence = (): string => {
    const kind = next();
    const end = chance(0.9) ? '.' : any([';', ':', '?', '!', '--']);
    if (kind < 0.27) return `${noun()} ${verb()}${end}`;
    if (kind < 0.54) return `${noun()} ${verb()} ${place()}${end}`;
    if (kind < 0.81) return `${noun()} ${verb()} ${noun()}${end}`;
    return `${noun()} ${place()} ${verb()}${chance(0.5) ? ` ${noun()}` : ` ${place()}`}${end}`;
  };
  return Array.from({ length: passages }, () => {
    let text = sentence();
    while (text.length < passageLength) text += ` ${sentence()}`;
    return text.slice(0, passageLength);
  });
}

/** mulberry32: numbers in [0, 1) from integer arithmetic alone, so equal on every machine. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
