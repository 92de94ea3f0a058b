/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is executed when it is the exec that counts: no loader, no library, nothing done. */

int main(void)
{
        return 0;
}
