// SPDX-License-Identifier: Apache-2.0
// Which layer uses which shared parameter.
#pragma once

#include <detente/autograd/batch_flow.h>
#include <detente/autograd/graph.h>

namespace detente::autograd {

// Fills in graph.uses, and refuses the parameters that no rule covers, over the trunk's nodes.
// graph.above is there already.
void read_layer_uses(const Trunk& trunk,
                     const SharedParameters& shared,
                     const BatchFlow& flow,
                     Graph& graph);

}  // namespace detente::autograd
