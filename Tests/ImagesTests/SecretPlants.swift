// Plants a secret for every rule of the table and every known form. Each contains unique bytes to
// search for.

import Foundation
import Testing

/// A planted secret.
struct SecretPlant: Sendable, CustomTestStringConvertible {
  let rule: String
  let path: String
  let content: [UInt8]
  let marker: String
  var testDescription: String { "\(rule) \(path)" }

  /// - Parameter text: contains "~" in the place of the marker.
  init(_ number: Int, _ rule: String, _ path: String, _ text: String) {
    self.rule = rule
    self.path = path
    marker = "Zq7\(100 + number)Xw9Kd2Pm4v"
    content = Array(text.replacingOccurrences(of: "~", with: marker).utf8)
  }

  /// The second half of an 86-character digest.
  private static let digest =
    "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5bC7dE9fG1hJ3kL5mN7pQ9rS1tU3vW5xY7zA9b"
  private static let base64 = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"

  private static func pem(_ label: String) -> String {
    "-----BEGIN \(label)-----\n\(base64)\n~\n-----END \(label)-----\n"
  }

  static let all: [SecretPlant] = {
    let texts: [(rule: String, path: String, text: String)] = [
      (
        "shadow", "etc/shadow",
        "root:*:1::::::\nadmin:$6$salt$~\(digest):19000:0:99999:7:::\nbin:*:19000::::::\n"
      ),
      ("shadow", "etc/shadow-", "locked:!$6$salt$~\(digest):19000:0:99999:7:::\n"),
      ("shadow", "etc/gshadow", "wheel:$6$salt$~\(digest)::root\n"),
      ("shadow", "etc/shadow.rpmsave", "old:~abcdefgh:19000::::::\n"),
      ("opasswd", "etc/security/opasswd", "root:0:1:$6$x$~\(digest)\n"),
      ("smbpasswd", "var/lib/samba/smbpasswd", "root:0:~:LCT-1:\n"),
      ("kickstart", "root/anaconda-ks.cfg", "lang en_US\nrootpw --iscrypted ~\nreboot\n"),
      ("grub-user", "boot/grub2/user.cfg", "GRUB2_PASSWORD=~\n"),
      ("grub-legacy", "boot/grub/menu.lst", "default 0\npassword --md5 ~\n"),
      ("ssh-host-key", "etc/ssh/ssh_host_rsa_key", pem("OPENSSH PRIVATE KEY")),
      ("ssh-host-key-copy", "etc/ssh/ssh_host_rsa_key.bak", "key ~\n"),
      ("ssh-user-key", "root/.ssh/id_ed25519", pem("OPENSSH PRIVATE KEY")),
      ("tls-private", "etc/pki/tls/private/localhost.key", "binary ~\n"),
      ("acme-account", "etc/letsencrypt/accounts/a/private_key.json", "{\"n\": \"~\"}\n"),
      ("nss-database", "etc/pki/nssdb/key4.db", "SQLite ~\n"),
      ("softhsm", "var/lib/softhsm/tokens/a/token.object", "object ~\n"),
      ("gnupg", "root/.gnupg/private-keys-v1.d/A.key", "Key: ~\n"),
      ("munge", "etc/munge/munge.key", "random ~\n"),
      ("keytab", "etc/krb5.keytab", "\u{5}\u{2} ~\n"),
      ("kdc", "var/kerberos/krb5kdc/principal", "kdb5 ~\n"),
      ("kerberos-ticket", "tmp/krb5cc_0", "ticket ~\n"),
      ("wireguard", "etc/wireguard/wg0.conf", "[Interface]\nPrivateKey = ~=\nListenPort = 1\n"),
      ("wireguard-key", "etc/wireguard/privatekey", "~\n"),
      ("vpn", "etc/ipsec.secrets", "%any : PSK \"~\"\n"),
      ("swanctl", "etc/swanctl/swanctl.conf", "secrets {\n ike {\n secret = ~\n }\n}\n"),
      ("disk-key", "etc/cryptsetup-keys.d/root.key", "key ~\n"),
      ("system-credential", "var/lib/systemd/credential.secret", "key ~\n"),
      (
        "network-manager", "etc/NetworkManager/system-connections/wifi.nmconnection",
        "[wifi-security]\npsk=~ two words\n"
      ),
      ("wpa", "etc/wpa_supplicant/wpa_supplicant.conf", "network={\n psk=\"~\"\n}\n"),
      ("ldap-conf", "etc/nslcd.conf", "uri ldap://a\nbindpw ~\n"),
      ("sssd", "etc/sssd/sssd.conf", "[domain/a]\nldap_default_authtok = ~\n"),
      ("ldap-secret", "etc/ldap.secret", "~\n"),
      ("slapd", "etc/openldap/slapd.d/cn=config/olcDatabase.ldif", "olcRootPW:: ~\n"),
      ("sss-cache", "var/lib/sss/db/cache_a.ldb", "TDB ~\n"),
      ("slurm-conf", "etc/slurm/slurmdbd.conf", "StorageHost=a\nStoragePass=~\n"),
      ("slurm-key", "var/spool/slurm/jwt_hs256.key", "key ~\n"),
      ("cluster-key", "etc/corosync/authkey", "key ~\n"),
      ("cluster-conf", "etc/cluster/cluster.conf", "<fence passwd=\"~\" name=\"a\"/>\n"),
      ("bmc", "etc/freeipmi/freeipmi.conf", "password=~\n"),
      ("bmc-directive", "etc/ipmi-config/bmc-a.conf", "password ~\n"),
      ("conserver", "etc/conserver.passwd", "admin:~\n"),
      ("rsync", "etc/rsyncd.secrets", "user:~\n"),
      ("samba", "var/lib/samba/private/secrets.tdb", "TDB ~\n"),
      ("snmp", "etc/snmp/snmpd.conf", "rocommunity public\nrwcommunity ~\n"),
      ("dns", "etc/rndc.key", "key a {\n secret \"~\";\n};\n"),
      ("dnssec", "var/named/Kexample.+008+1.private", "Private: ~\n"),
      ("mail", "etc/postfix/sasl_passwd", "[relay] user:~\n"),
      ("ssmtp", "etc/ssmtp/ssmtp.conf", "AuthPass=~\n"),
      ("web", "etc/httpd/.htpasswd", "user:~\n"),
      ("monitoring", "etc/zabbix/zabbix_agentd.psk", "~\n"),
      ("storage", "etc/ceph/ceph.client.admin.keyring", "[client]\n key = ~==\n"),
      ("iscsi", "etc/iscsi/iscsid.conf", "node.session.auth.password = ~\n"),
      ("netrc", "root/.netrc", "machine a login b password ~\n"),
      ("database-file", "root/.pgpass", "a:5432:b:c:~\n"),
      ("database-conf", "root/.my.cnf", "[client]\npassword=~\n"),
      ("redis", "etc/redis/redis.conf", "requirepass ~\n"),
      ("aws", "root/.aws/credentials", "[default]\naws_secret_access_key = ~\n"),
      (
        "gcloud", "root/.config/gcloud/application_default_credentials.json",
        "{\"refresh_token\": \"~\"}\n"
      ),
      ("azure", "root/.azure/msal_token_cache.json", "{\"secret\": \"~\"}\n"),
      ("cloud-init", "var/lib/cloud/instance/user-data.txt", "#cloud-config\nx: ~\n"),
      ("cloud-init-conf", "etc/cloud/cloud.cfg.d/99.cfg", "chpasswd:\n  password: ~\n"),
      ("docker", "root/.docker/config.json", "{\"auths\": {\"a\": {\"auth\": \"~=\"}}}\n"),
      ("package-index", "root/.npmrc", "//registry/:_authToken=~\n"),
      ("kubeconfig", "root/.kube/config", "users:\n- user:\n    token: ~\n"),
      ("kubernetes-token", "var/lib/rancher/k3s/server/token", "~\n"),
      ("git", "root/.git-credentials", "https://a:~@host\n"),
      ("repository", "etc/yum.repos.d/a.repo", "[a]\nusername=b\npassword=~\n"),
      ("apt-auth", "etc/apt/auth.conf", "machine a login b password ~\n"),
      ("xcat-client", "root/.xcat/client-cred.pem", "key ~\n"),
      ("otp", "root/.google_authenticator", "~\n"),
      ("keyring", "root/.local/share/keyrings/login.keyring", "~\n"),
      ("vault", "root/.vault-token", "~\n"),
      ("password-file", "etc/site.passphrase", "~\n"),
      ("history", "root/.bash_history", "mysql -p~\n"),
      ("random-seed", "var/lib/systemd/random-seed", "~\n"),
      ("machine-id", "etc/machine-id", "~\n"),
      ("pem", "opt/app/conf/server.txt", "listen 1\n" + pem("EC PRIVATE KEY")),
      (
        "pem", "opt/app/account.json",
        "{\"key\": \"-----BEGIN PRIVATE KEY-----\\n\(base64)\\n~\\n-----END PRIVATE KEY-----\\n\"}\n"
      ),
      ("openvpn-static", "opt/app/ta.txt", pem("OpenVPN Static key V1")),
      (
        "putty", "opt/app/a.txt",
        "PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 1\n~\n"
      ),
      ("crypt", "usr/share/app/a.txt", "hash $6$salt$~\(digest) end\n"),
      ("ldap-hash", "usr/share/app/b.txt", "{SSHA}~aB3dE5fG7hJ9kL1m\n"),
      ("grub-hash", "usr/share/app/c.txt", "grub.pbkdf2.sha512.10000.~\(digest)\n"),
      ("age", "usr/share/app/d.txt", "AGE-SECRET-KEY-1~\n"),
      ("github", "usr/share/app/e.sh", "T=ghp_~aB3dE5fG\n"),
      ("gitlab", "usr/share/app/f.sh", "T=glpat-~\n"),
      ("slack", "usr/share/app/g.sh", "T=xoxb-~\n"),
      ("google-key", "usr/share/app/h.sh", "T=AIza~aB3dE5fG7hJ9kL1m\n"),
      ("google-token", "usr/share/app/i.sh", "T=ya29.~aB3dE5fG7hJ9kL1m\n"),
      ("stripe", "usr/share/app/j.sh", "T=sk_live_~\n"),
      ("huggingface", "usr/share/app/k.sh", "T=hf_~aB3dE5fG7hJ9kL1m\n"),
      ("npm", "usr/share/app/l.sh", "T=npm_~aB3dE5fG7hJ9kL1mN3\n"),
      ("pypi", "usr/share/app/m.sh", "T=pypi-AgE~\n"),
      ("docker-token", "usr/share/app/n.sh", "T=dckr_pat_~\n"),
      ("vault-token", "usr/share/app/o.sh", "T=hvs.~aB3dE\n"),
      ("jwt", "usr/share/app/p.sh", "T=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.~\n"),
      ("dnssec-key", "usr/share/app/q.txt", "Private-key-format: v1.3\nKey: ~\n"),
      ("jwk", "usr/share/app/r.json", "{\"kty\": \"OKP\", \"d\": \"~aB3dE5fG\"}\n"),
      ("named-value", "etc/app/app.conf", "user = a\ndb_password = ~\n"),
      ("url", "etc/app/proxy.conf", "proxy http://user:~@proxy:3128\n"),
    ]
    var plants = texts.enumerated().map { SecretPlant($0, $1.rule, $1.path, $1.text) }
    plants.append(SecretPlant(awsKey: texts.count))
    plants.append(SecretPlant(keystore: texts.count + 1))
    return plants
  }()

  private init(awsKey number: Int) {
    (rule, path, marker) = ("aws-key", "usr/share/app/s.sh", "AKIAZQ7\(100 + number)XW9KD2PM4V")
    content = Array("KEY=\(marker)\n".utf8)
  }

  private init(keystore number: Int) {
    (rule, path, marker) = ("key-format", "opt/app/a.p12", "Zq7\(100 + number)Xw9Kd2Pm4v")
    content = [0x30, 0x82, 0x01, 0x00, 0x02, 0x01, 0x03, 0x30, 0x82] + Array(marker.utf8)
  }

  /// Writes all plants below a directory.
  static func plant(in directory: String) throws {
    for plant in all {
      let path = "\(directory)/\(plant.path)"
      try FileManager.default.createDirectory(
        atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try Data(plant.content).write(to: URL(fileURLWithPath: path))
    }
  }
}
