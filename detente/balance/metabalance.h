// SPDX-License-Identifier: Apache-2.0
// MetaBalance: auxiliary gradients are brought near the length of one main task's gradient.
//
// Rule: m_i, the running average of ‖g_i‖ (decay β), and m_t, that of the main task; d = Σ w_i g_i
// with w_t = 1 and w_i = 1 − r + r m_t / m_i. `when` restricts it to gradients that are longer, or
// shorter, than the main one; the others keep w_i = 1.
// Why the plain thing fails: an auxiliary gradient much longer than the main one takes the
// training over, one much shorter teaches nothing; fixed weights cannot follow lengths that change.
// Limits: r = 0 -> w = 1; β = 0 -> lengths of this step alone, and r = 1 then makes all gradients
// as long as the main one; k = 1 -> w = 1; identical rows g -> d = k g; scaling all gradients in
// all steps leaves w unchanged. A task whose average is 0 keeps w = 1; a main task whose average is
// 0 leaves w_i = 1 − r to those that are reduced.
// Errors: a main task that does not exist (kInvalidArgument).
// Certificate: none (NaN): no problem is solved.
// State: per task the average and how much it has seen. Those of an absent task stay; while the
// main task has never been present, w = 1.
// Cost: O(k). Class G.
// Paper: He, Feng, Cheng, Ji, Guo and Caverlee, WWW 2022, arXiv 2203.06801.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct MetabalanceOptions {
  enum class When { kBoth, kLonger, kShorter };

  std::int64_t task = 0;    // the main task, counted from 0 in the order of the tasks
  double relax = 0.7;       // r in [0, 1]: how near to the main task's length
  double beta = 0.9;        // β in [0, 1): the decay of the averages
  When when = When::kBoth;  // which auxiliary gradients are scaled

  void describe(FieldVisitor& visitor);
};

// The first step. Throws as Method::solve.
Result metabalance(MatrixView gram, const MetabalanceOptions& options = {});

std::unique_ptr<Method> make_metabalance();

}  // namespace detente::balance
