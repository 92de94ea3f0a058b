/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Verbs by table: which arguments each must have and may have.
 *
 *  1. A command that is passed on has passed here first: whoever takes it finds an address that is one, a
 *     time within bounds, each argument once.
 *  2. Whatever the verb, NODE= makes it another host's: it is passed on, and nothing here is done or raised.
 *  3. A condition that a command raises has a name of its own kind (COMMAND_CONDITION_PREFIX).
 */

#include "dispatcher/command-verb.h"
#include "runtime/config.h"

#include <arpa/inet.h>

typedef enum Argument {
        ARGUMENT_NAME,
        ARGUMENT_ON,
        ARGUMENT_REASON,
        ARGUMENT_SECONDS,
        ARGUMENT_ADDRESS,
        ARGUMENT_PRIORITY,
        ARGUMENT_MESSAGE,
        ARGUMENT_NODE,
        _ARGUMENT_MAX,
} Argument;

static const char *const argument_names[_ARGUMENT_MAX] = {
        [ARGUMENT_NAME] = "NAME",         [ARGUMENT_ON] = "ON",
        [ARGUMENT_REASON] = "REASON",     [ARGUMENT_SECONDS] = "SECONDS",
        [ARGUMENT_ADDRESS] = "ADDRESS",   [ARGUMENT_PRIORITY] = "PRIORITY",
        [ARGUMENT_MESSAGE] = "MESSAGE",   [ARGUMENT_NODE] = "NODE",
};

/* What is wider is no attacker, but the network that the host lives in. */
#define PREFIX_MIN_IPV4 8U
#define PREFIX_MIN_IPV6 16U

#define NEEDS(argument) (1U << ARGUMENT_##argument)

static const struct {
        const char *name;
        unsigned needed, allowed; /* besides the needed ones */
} verbs[_COMMAND_VERB_MAX] = {
        [COMMAND_STATE] = { "state", NEEDS(NAME) | NEEDS(ON), NEEDS(REASON) },
        [COMMAND_PAUSE] = { "pause", NEEDS(SECONDS), NEEDS(NAME) },
        [COMMAND_RESUME] = { "resume", 0, NEEDS(NAME) },
        [COMMAND_BLOCK_ADDRESS] = { "block-address", NEEDS(ADDRESS) | NEEDS(SECONDS), NEEDS(REASON) },
        [COMMAND_UNBLOCK_ADDRESS] = { "unblock-address", NEEDS(ADDRESS), NEEDS(REASON) },
        [COMMAND_LOG] = { "log", NEEDS(PRIORITY) | NEEDS(MESSAGE), 0 },
        [COMMAND_OTHER] = { NULL, 0, 0 },
};

static bool is_made_of(LinkString string, const char *alphabet)
{
        for (size_t i = 0; i < string.size; i++)
                if (!memchr(alphabet, string.data[i], strlen(alphabet)))
                        return false;
        return string.size > 0;
}

static bool equals(LinkString string, const char *text)
{
        return string.size == strlen(text) && memcmp(string.data, text, string.size) == 0;
}

bool command_verb_find(LinkString name, CommandVerb *ret)
{
        for (CommandVerb verb = 0; verb < COMMAND_OTHER; verb++)
                if (equals(name, verbs[verb].name)) {
                        *ret = verb;
                        return true;
                }
        *ret = COMMAND_OTHER;
        return name.size > 2 && name.size <= COMMAND_NAME_MAX && memcmp(name.data, "x-", 2) == 0 &&
               is_made_of(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
}

/* --- Values --- */

/* Decimal, without sign and superfluous zeros. */
static bool read_number(LinkString string, uint32_t min, uint32_t max, uint32_t *ret)
{
        uint32_t number = 0;

        if (!is_made_of(string, "0123456789") || string.size > 9 ||
            (string.size > 1 && string.data[0] == '0'))
                return false;
        for (size_t i = 0; i < string.size; i++)
                number = number * 10 + (uint32_t) (string.data[i] - '0');
        *ret = number;
        return number >= min && number <= max;
}

/* No bit behind the prefix: what is blocked and unblocked later must be written alike. */
static bool has_no_host(const uint8_t *address, unsigned bits, unsigned prefix)
{
        for (unsigned i = prefix; i < bits; i++)
                if (address[i / 8] & (0x80U >> i % 8))
                        return false;
        return true;
}

static const char *judge_address(LinkString string)
{
        const char *slash = memchr(string.data, '/', string.size);
        size_t size = slash ? (size_t) (slash - string.data) : string.size;
        LinkString length = { slash ? slash + 1 : "", slash ? string.size - size - 1 : 0 };
        char text[INET6_ADDRSTRLEN];
        uint8_t address[16];
        uint32_t bits, prefix;

        if (size >= sizeof text)
                return "ADDRESS is no address";
        memcpy(text, string.data, size);
        text[size] = '\0';
        if (inet_pton(AF_INET, text, address) == 1)
                bits = 32;
        else if (inet_pton(AF_INET6, text, address) == 1)
                bits = 128;
        else
                return "ADDRESS is no address";
        prefix = bits;
        if (slash && !read_number(length, bits == 32 ? PREFIX_MIN_IPV4 : PREFIX_MIN_IPV6, bits, &prefix))
                return "ADDRESS has an impossible prefix length, or one that blocks half the world";
        if (!has_no_host(address, bits, prefix))
                return "ADDRESS has bits behind its prefix length";
        if (bits == 128 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *) address))
                return "ADDRESS is an IPv4 address written as IPv6: nothing would match it";
        return NULL;
}

/* Without '-', which is a '/' in the names of units that react to conditions. */
static void name_condition(Command *command, LinkString name)
{
        char *p = stpcpy(command->condition, COMMAND_CONDITION_PREFIX);

        for (size_t i = 0; i < name.size; i++)
                *p++ = name.data[i] == '-' ? '_' : name.data[i];
        *p = '\0';
}

static const char *judge_state(const LinkString *values, Command *command)
{
        LinkString name = values[ARGUMENT_NAME];

        if (name.size > COMMAND_NAME_MAX || !is_made_of(name, "abcdefghijklmnopqrstuvwxyz0123456789_"))
                return "NAME is no name of a condition: small letters, digits and '_'";
        if (!equals(values[ARGUMENT_ON], "1") && !equals(values[ARGUMENT_ON], "0"))
                return "ON is neither 1 nor 0";
        command->on = values[ARGUMENT_ON].data[0] == '1';
        /* One of another node is none here. */
        if (values[ARGUMENT_NODE].size == 0)
                name_condition(command, name);
        return NULL;
}

static const char *judge_node(LinkString node)
{
        char name[NODE_NAME_MAX + 1];

        if (node.size >= sizeof name)
                return "NODE is no name of a node";
        memcpy(name, node.data, node.size);
        name[node.size] = '\0';
        return node_name_is_valid(name) ? NULL : "NODE is no name of a node";
}

static const char *judge_values(const LinkString *values, Command *command)
{
        uint32_t number = 0, seconds_max = COMMAND_BLOCK_SEC_MAX;
        const char *why = NULL;

        if (command->verb == COMMAND_STATE)
                why = judge_state(values, command);
        else if (values[ARGUMENT_NAME].data && values[ARGUMENT_NAME].size == 0)
                why = "NAME is empty";
        if (!why && values[ARGUMENT_ADDRESS].data)
                why = judge_address(values[ARGUMENT_ADDRESS]);
        if (command->verb == COMMAND_PAUSE)
                seconds_max = COMMAND_PAUSE_SEC_MAX;
        if (!why && values[ARGUMENT_SECONDS].data &&
            !read_number(values[ARGUMENT_SECONDS], 1, seconds_max, &command->seconds))
                why = "SECONDS is no number, or too large";
        if (!why && values[ARGUMENT_PRIORITY].data && !read_number(values[ARGUMENT_PRIORITY], 0, 7, &number))
                why = "PRIORITY is none of 0 to 7";
        if (!why && values[ARGUMENT_MESSAGE].data && values[ARGUMENT_MESSAGE].size == 0)
                why = "MESSAGE is empty";
        if (!why && values[ARGUMENT_NODE].data)
                why = judge_node(values[ARGUMENT_NODE]);
        command->priority = (int) number;
        command->node = values[ARGUMENT_NODE];
        command->name = values[ARGUMENT_NAME];
        command->reason = values[ARGUMENT_REASON];
        command->message = values[ARGUMENT_MESSAGE];
        return why;
}

/* --- Arguments --- */

/* Takes one line KEY=VALUE off the front. */
static bool next_argument(LinkString *arguments, LinkString *ret_key, LinkString *ret_value)
{
        const char *end = memchr(arguments->data, '\n', arguments->size), *equal;
        size_t size = end ? (size_t) (end - arguments->data) : arguments->size;

        equal = memchr(arguments->data, '=', size);
        if (!equal)
                return false;
        *ret_key = (LinkString) { arguments->data, (size_t) (equal - arguments->data) };
        *ret_value = (LinkString) { equal + 1, size - ret_key->size - 1 };
        arguments->data += size + (end ? 1 : 0);
        arguments->size -= size + (end ? 1 : 0);
        return is_made_of(*ret_key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
}

static const char *read_arguments(CommandVerb verb, LinkString arguments, LinkString *ret_values)
{
        unsigned missing = verbs[verb].needed, allowed = missing | verbs[verb].allowed | NEEDS(NODE);
        LinkString key, value;

        while (arguments.size > 0) {
                Argument i = 0;

                if (!next_argument(&arguments, &key, &value))
                        return "an argument is not of the form KEY=VALUE";
                while (i < _ARGUMENT_MAX && !(allowed & 1U << i && equals(key, argument_names[i])))
                        i++;
                if (i == _ARGUMENT_MAX && verb == COMMAND_OTHER)
                        continue;
                if (i == _ARGUMENT_MAX)
                        return "an argument that this verb does not have";
                if (ret_values[i].data)
                        return "an argument is given twice";
                ret_values[i] = value;
                missing &= ~(1U << i);
        }
        return missing == 0 ? NULL : "an argument is missing";
}

LinkReplyStatus command_parse(const LinkCommand *frame, Command *ret, const char **ret_why)
{
        LinkString values[_ARGUMENT_MAX] = { 0 };
        const char *why;

        *ret = (Command) { 0 };
        *ret_why = "no such verb here";
        if (!command_verb_find(frame->verb, &ret->verb))
                return LINK_REPLY_UNKNOWN;
        if (frame->arguments.size > COMMAND_ARGUMENTS_MAX)
                why = "the arguments are too long";
        else
                why = read_arguments(ret->verb, frame->arguments, values);
        if (!why)
                why = judge_values(values, ret);
        if (!why && ret->verb == COMMAND_OTHER && frame->arguments.size == 0) {
                /* Nobody need be told anything but that it was said. */
                name_condition(ret, frame->verb);
                ret->on = true;
        }
        ret->passed_on = ret->node.size > 0 || ret->verb == COMMAND_BLOCK_ADDRESS || ret->verb == COMMAND_UNBLOCK_ADDRESS ||
                         (ret->verb == COMMAND_OTHER && frame->arguments.size > 0);
        *ret_why = why ? why : "";
        return why ? LINK_REPLY_FAILED : LINK_REPLY_DONE;
}
