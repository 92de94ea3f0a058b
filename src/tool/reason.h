/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the system says of a failure, and what to do about it: "Permission denied; run it as root". `error`: an errno, of either
 * sign. Valid until the next call. */
const char *tool_reason(int error);
