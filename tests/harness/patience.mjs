/** Milliseconds; longer than anything takes that works. */
export const PATIENCE = Number(process.env.PATIENCE ?? 60_000);
