/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How single keys are taken; the table of keys names these. `argument` is theirs. */

#include "tool/import/import.h"

typedef void ImportTake(Import *import, const ImportKey *key, ImportSetting *setting);

/* argument: the conditions "COMPONENT-NAME …" that the action reacts to; those of a host that writes its log for others
 * behind a '/'. */
ImportTake take_action;
/* The same for actions whose shipped value is "stop", with which audisp-remote ended and auditd started it again. */
ImportTake take_action_but_stop;

ImportTake take_remote_server, take_port, take_transport, take_retry, take_timeout, take_format, take_local_port;
/* argument: our key of the same meaning, for a collector that stays a stock one */
ImportTake take_psk;

ImportTake take_local_events, take_write_logs, take_log_format, take_name_format, take_name, take_plugin_dir;
/* Log files: argument: our key */
ImportTake take_segment_size, take_size_action, take_space, take_admin_space;
ImportTake take_listen_port, take_listen_transport, take_distribute, take_log_group;
/* Of Kerberos, of either file. */
ImportTake take_kerberos;
/* Of the listener: what is of no use where auditd does not listen, and otherwise what the table says. */
ImportTake take_of_listener;

ImportTake take_active, take_plugin_path, take_plugin_format, take_plugin_args;
