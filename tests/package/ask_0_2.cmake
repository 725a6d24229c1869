# SPDX-License-Identifier: Apache-2.0
find_package(Detente 0.2 REQUIRED COMPONENTS balance)
