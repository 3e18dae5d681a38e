/** What the model reads, in the order of its tensor `x`, as SQL over the orders. The same as in job.yaml. */
export const features = [
  'coalesce(age, 41)',
  'amount',
  'visits',
  'amount / nullif(visits, 0)',
  'days_since_last',
  'tickets',
  'len(skus)',
  'is_member',
] as const;
