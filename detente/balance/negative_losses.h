// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <detente/balance/method.h>

namespace detente::balance {

// Whether the method, of which this is a fresh copy for the purpose, refuses negative losses: it is shown some.
bool refuses_negative_losses(Method& scratch);

}  // namespace detente::balance
