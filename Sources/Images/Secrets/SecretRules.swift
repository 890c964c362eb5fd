// The table of paths that hold secrets. docs/secrets.md prints it. A test compares the two, and another test
// plants a file for every rule.
//
// 1. A pattern matches the end of a path, in any directory: chroots, statelite copies and sources of
//    synclists hold the same files. `*` matches any text within a component; a final `/**` matches all below
//    a directory.
// 2. The check of a rule decides whether a file with such a path holds a secret.
// 3. A scrubbed export leaves a file out, or blanks only the bytes of the secret.

extension SecretRule {
  /// All rules, in the order of the documentation.
  public static let table: [SecretRule] = accounts + keys + services + credentials + others

  /// Returns the patterns of a file in /etc and of its backups.
  private static func backups(_ name: String) -> String {
    "etc/% etc/%- etc/%~ etc/%.* etc/%_* etc/.%.* etc/%+".replacing("%", with: name)
  }

  private static let accounts = [
    SecretRule(
      "shadow", .passwordHash, .accounts, "password hash; a locked one can be cracked as well",
      backups("shadow"), backups("gshadow"), backups("passwd"), backups("group")),
    SecretRule(
      "opasswd", .passwordHash, .content, "hashes of earlier passwords", "etc/security/opasswd*"),
    SecretRule("smbpasswd", .sambaSecrets, .content, "password hashes", "smbpasswd smbpasswd.*"),
    SecretRule(
      "kickstart", .kickstartPassword, .installer, "password for an unattended installation",
      "anaconda-ks.cfg original-ks.cfg initial-setup-ks.cfg *.ks ks.cfg *.tmpl preseed.cfg",
      "*.preseed preseed/* autoinst.xml *.autoyast autoinst*.xml"),
    SecretRule(
      "grub-user", .bootLoaderPassword, .values("GRUB2_PASSWORD"), "boot loader password hash",
      "grub*/user.cfg grub*/grub.cfg grub/menu.lst"),
    SecretRule(
      "grub-legacy", .bootLoaderPassword, .directives("password"), "boot loader password",
      "grub/menu.lst grub/grub.conf etc/lilo.conf"),
  ]

  private static let keys = [
    SecretRule(
      "ssh-host-key", .sshHostKey, .unlessPublic, "SSH host private key",
      "ssh/ssh_host_*_key ssh/ssh_host_key hostkeys/ssh_host_*_key hostkeys/ssh_host_key"),
    SecretRule(
      "ssh-host-key-copy", .sshHostKey, .unlessPublic, "copy of an SSH host private key",
      "ssh/ssh_host_*_key.* ssh_host_*_key"),
    SecretRule(
      "ssh-user-key", .sshUserKey, .unlessPublic, "user's private SSH key",
      ".ssh/id_* .ssh/identity _ssh/id_* .ssh/*_rsa"),
    SecretRule(
      "tls-private", .privateKey, .unlessPublic, "TLS service key",
      "pki/tls/private/** etc/ssl/private/** private_keys/** etc/letsencrypt/keys/**"),
    SecretRule("acme-account", .privateKey, .content, "ACME account key", "private_key.json"),
    SecretRule(
      "key-format", .keystore, .keyFormat, "keystore, or private key in a binary format",
      "*.p12 *.pfx *.jks *.jceks *.keystore *.bks *.kdb *.kdbx *.der *.pk8 *.p8 *.key *.pem *.ppk"),
    SecretRule("nss-database", .keystore, .content, "database of private keys", "key3.db key4.db"),
    SecretRule(
      "softhsm", .keystore, .content, "token of a software key store", "softhsm/tokens/**"),
    SecretRule(
      "gnupg", .pgpKey, .content, "GnuPG private key",
      "secring.gpg private-keys-v1.d/* trustdb.gpg.secret secring.pgp"),
    SecretRule("munge", .mungeKey, .content, "munge key", "munge/*.key munge.key"),
    SecretRule(
      "keytab", .kerberosKeytab, .content, "Kerberos principal keys",
      "*.keytab krb5.keytab* keytab"),
    SecretRule(
      "kdc", .kerberosDatabase, .content, "KDC database or master key",
      "krb5kdc/principal* krb5kdc/.k5* krb5kdc/stash* .k5.* krb5kdc/*.dump"),
    SecretRule(
      "kerberos-ticket", .kerberosTicket, .content, "user's Kerberos tickets",
      "tmp/krb5cc* krb5cc_*"),
    SecretRule(
      "wireguard", .wireguardKey,
      .values("PrivateKey PresharedKey private-key preshared-key"), "tunnel key",
      "wireguard/*.conf systemd/network/*.netdev *.nmconnection"),
    SecretRule(
      "wireguard-key", .wireguardKey, .content, "tunnel key",
      "wireguard/*.key wireguard/privatekey* wireguard/*psk*"),
    SecretRule(
      "vpn", .vpnSecret, .content, "VPN secret",
      "ipsec.secrets ipsec.d/*.secrets chap-secrets pap-secrets srp-secrets tinc/*/*.priv",
      "openvpn/*.key openvpn/*auth*.txt openvpn/*/*.key openvpn/*pass* racoon/psk.txt vpnc/*.conf"),
    SecretRule(
      "swanctl", .vpnSecret, .values("secret"), "VPN secret",
      "swanctl/swanctl.conf swanctl/conf.d/*.conf"),
    SecretRule(
      "disk-key", .diskKey, .content, "disk encryption key",
      "cryptsetup-keys.d/* etc/luks/* etc/luks-keys/* luks*.key crypto_keyfile*"),
    SecretRule(
      "system-credential", .systemCredential,
      .content, "key that encrypts other secrets of the machine",
      "systemd/credential.secret credstore/* credstore.encrypted/* NetworkManager/secret_key",
      "sss/secrets/* custodia/*.keys"),
  ]

  private static let services = [
    SecretRule(
      "network-manager", .networkPassword,
      .values(
        """
        psk password wep-key0 wep-key1 wep-key2 wep-key3 wep-key private-key-password \
        phase2-private-key-password leap-password secret secrets xauth-password ipsec-psk WPA_PSK \
        KEY KEY1 KEY_PASSPHRASE1 IEEE_8021X_PASSWORD IEEE_8021X_PRIVATE_KEY_PASSWORD cert-pass
        """), "network password",
      "system-connections/* network-scripts/keys-* NetworkManager/conf.d/*"),
    SecretRule(
      "wpa", .networkPassword,
      .values(
        """
        psk password wpa_passphrase wpa_psk sae_password private_key_passwd Passphrase \
        PreSharedKey EAP-Password wep_key0 auth_server_shared_secret
        """), "network password",
      "wpa_supplicant*.conf hostapd*.conf iwd/*.psk iwd/*.8021x netplan/*.yaml"),
    SecretRule(
      "ldap-conf", .ldapPassword,
      .directives("bindpw rootbindpw rootpw bindpwfile_secret"), "LDAP bind password",
      "nslcd.conf ldap.conf pam_ldap.conf libnss-ldap.conf slapd.conf nss_ldap.conf",
      "sudo-ldap.conf"),
    SecretRule(
      "sssd", .ldapPassword,
      .values("ldap_default_authtok secret ldap_sasl_authtok proxy_password"), "LDAP bind password",
      "sssd.conf sssd/conf.d/* autofs_ldap_auth.conf"),
    SecretRule(
      "ldap-secret", .ldapPassword, .content, "LDAP bind password",
      "ldap.secret libnss-ldap.secret pam_ldap.secret"),
    SecretRule(
      "slapd", .ldapPassword, .values("olcRootPW olcDbBindPW"), "directory server password",
      "slapd.d/**"),
    SecretRule(
      "sss-cache", .cachedCredentials, .content, "cached accounts and hashes",
      "sss/db/*.ldb sss/db/ccache_* cache/nscd/*"),
    SecretRule(
      "slurm-conf", .slurmKey, .values("StoragePass AccountingStoragePass ArchivePass JobCompPass"),
      "slurm database password",
      "slurmdbd.conf slurm.conf slurmrestd.conf"),
    SecretRule(
      "slurm-key", .slurmKey, .content, "slurm key",
      "jwt_hs256.key slurm/*.key slurm.key slurm*/*.jwks StateSaveLocation/*.key"),
    SecretRule(
      "cluster-key", .clusterKey, .content, "cluster key",
      "corosync/authkey pacemaker/authkey booth/*.key cluster/fence_xvm.key heartbeat/authkeys",
      "pcsd/*.key drbd.d/*.secret ha.d/authkeys .erlang.cookie keepalived/*secret* pbs_server_key",
      "gmond.secret lsf.sudoers.key"),
    SecretRule(
      "cluster-conf", .clusterKey,
      .values("passwd auth_pass shared-secret password"), "cluster password",
      "cluster.conf keepalived.conf drbd.d/*.res"),
    SecretRule(
      "bmc", .bmcPassword,
      .values("password passwd k_g IPMI_PASSWORD bmc_password ipmipass"), "BMC password",
      "freeipmi/*.conf ipmi*.conf ipmitool.conf ipmidetect.conf powerman.conf redfish*.conf",
      "bmc*.conf conserver.cf ipmi_* ipmi/*"),
    SecretRule(
      "bmc-directive", .bmcPassword, .directives("password passwd k_g"), "BMC password",
      "freeipmi/*.conf ipmi*.conf ipmi/* bmc*.conf"),
    SecretRule(
      "conserver", .bmcPassword, .content, "console password",
      "conserver.passwd .ipmipass ipmipasswd bmc.password"),
    SecretRule(
      "rsync", .rsyncPassword, .content, "rsync passwords",
      "rsyncd.secrets *rsync*.secrets rsync*.pass* .rsync_pass*"),
    SecretRule(
      "samba", .sambaSecrets, .content, "Samba or CIFS mount secrets",
      "secrets.tdb passdb.tdb samba/private/** secrets.ldb sam.ldb .smbcredentials smbcredentials",
      "cifs*.cred* samba/*cred* *.smbcred*"),
    SecretRule(
      "snmp", .snmpCommunity,
      .directives(
        """
        rocommunity rwcommunity rocommunity6 rwcommunity6 com2sec com2sec6 createUser usmUser \
        authCommunity defAuthPassphrase defPrivPassphrase defPassphrase defCommunity trapcommunity \
        trapsink trap2sink informsink
        """), "SNMP community or passphrase",
      "snmpd.conf snmp.conf snmptrapd.conf snmpd.local.conf snmpd.conf.d/* snmpd.d/*"),
    SecretRule(
      "dns", .dnsKey, .directives("secret"), "name server key",
      "rndc.key rndc.conf bind/*.key named*.key named.conf* dhcpd*.conf *.tsig ddns*.key"),
    SecretRule("dnssec", .dnsKey, .content, "DNS zone private key", "K*.private"),
    SecretRule(
      "mail", .mailPassword, .content, "mail server password",
      "sasl_passwd* passwd.client .fetchmailrc fetchmailrc .msmtprc msmtprc dovecot/users",
      "dovecot/passwd* sasldb2 smtp_auth* .mailrc.auth"),
    SecretRule("ssmtp", .mailPassword, .values("AuthPass"), "mail server password", "ssmtp.conf"),
    SecretRule(
      "web", .webPassword, .content, "web server password hashes",
      ".htpasswd* htpasswd* .htdigest* htdigest*"),
    SecretRule(
      "monitoring", .configuredPassword, .content, "monitoring key or password",
      "zabbix*.psk zabbix/*.psk telegraf.conf grafana.ini icinga*.pwd"),
    SecretRule(
      "storage", .storageKey, .content, "storage system key",
      "ceph/*.keyring ceph/*.secret ceph/*secret* *.keyring.secret beegfs/conn*auth* conn.auth",
      "connauthfile mmfs/ssl/** mmsdrfs glusterfs/*.secret lustre/*.key iscsi/secrets* lnet*.key",
      "minio/*.env"),
    SecretRule(
      "iscsi", .storageKey,
      .values(
        """
        node.session.auth.password node.session.auth.password_in \
        discovery.sendtargets.auth.password discovery.sendtargets.auth.password_in
        """), "iSCSI CHAP password",
      "iscsid.conf iscsi/nodes/** iscsi/send_targets/** ietd.conf"),
  ]
}
