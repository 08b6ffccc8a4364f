/** The options of writes, under the names that the gateway knows. */

import type { SessionDiskBudgetSweepResult } from "./disk-budget.js";
import type { SessionMaintenanceWarning } from "./maintenance.js";
import type { ResolvedSessionMaintenanceConfig } from "./maintenance-config.js";

export interface SessionMaintenanceApplyReport {
  mode: ResolvedSessionMaintenanceConfig["mode"];
  beforeCount: number;
  afterCount: number;
  pruned: number;
  capped: number;
  diskBudget: SessionDiskBudgetSweepResult | null;
}

export interface SaveSessionStoreOptions {
  skipMaintenance?: boolean;
  /** The session at work: never removed, and the one that warnings are about. */
  activeSessionKey?: string;
  /** Keys whose ACP metadata this write may drop. */
  allowDropAcpMetaSessionKeys?: string[];
  onWarn?: (warning: SessionMaintenanceWarning) => void | Promise<void>;
  onMaintenanceApplied?: (report: SessionMaintenanceApplyReport) => void | Promise<void>;
  /** Over what is configured. */
  maintenanceOverride?: Partial<ResolvedSessionMaintenanceConfig>;
  /** In place of what is configured. */
  maintenanceConfig?: ResolvedSessionMaintenanceConfig;
}
