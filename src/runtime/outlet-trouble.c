/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/outlet-trouble.h"

OutletTrouble outlet_trouble_of_bye(uint16_t code)
{
        switch (code) {
        case LINK_BYE_CERTIFICATE:
                return OUTLET_E_TLS;
        case LINK_BYE_NODE:
        case LINK_BYE_VERSION:
                return OUTLET_E_REFUSED;
        case LINK_BYE_PROTOCOL:
                return OUTLET_E_PROTOCOL;
        case LINK_BYE_TIMEOUT:
                return OUTLET_E_TIMEOUT;
        case LINK_BYE_RESUME:
                return OUTLET_E_RESUME;
        default:
                return OUTLET_E_ENDING;
        }
}

static bool network_error(int error)
{
        switch (-error) {
        case 0:
        case ECONNREFUSED:
        case ECONNRESET:
        case ECONNABORTED:
        case EPIPE:
        case ENOTCONN:
        case EHOSTUNREACH:
        case EHOSTDOWN:
        case ENETUNREACH:
        case ENETDOWN:
        case ENETRESET:
        case EADDRNOTAVAIL:
        case ENOENT:
        case EAGAIN:
                return true;
        default:
                return false;
        }
}

OutletTrouble outlet_trouble_of_error(int error, bool tls)
{
        if (error == -ETIMEDOUT)
                return OUTLET_E_TIMEOUT;
        return tls && !network_error(error) ? OUTLET_E_TLS : OUTLET_E_NETWORK;
}
