/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which trouble a BYE or an error is. */

#include "runtime/outlet.h"

OutletTrouble outlet_trouble_of_bye(uint16_t code);

/* error: negative errno of a connection that is over, 0 for EOF; `tls`: whether the connection has TLS. */
OutletTrouble outlet_trouble_of_error(int error, bool tls);
