// The collections that people ask and fill. Evaluations have some of their own, which nobody is offered.
import { fetchJson } from "/static/session.js";

const MOST_COLLECTIONS = 1000; // more than a list can be chosen from
const OF_EVALUATIONS = "evaluation:";

export async function fetchCollections() {
  const { collections } = await fetchJson(`/v1/collections?limit=${MOST_COLLECTIONS}`);
  return collections.filter(({ name }) => !name.startsWith(OF_EVALUATIONS));
}
