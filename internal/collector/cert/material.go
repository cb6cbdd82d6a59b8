package cert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// How long certificates live. Each is replaced when two thirds of its life have passed. An authority waits a third of its
// life to be the current one, is that for a third, and the last third is for pods that were told of it late. The very first
// has not waited, and lives shorter for it, so that the one that waits beside it is young enough when its turn comes.
const (
	year           = 365 * 24 * time.Hour
	authorityLife  = 3 * year
	firstLife      = authorityLife / 2
	servingLife    = 90 * 24 * time.Hour
	backdate       = 24 * time.Hour // for pods whose clock is behind
	maxCertificate = 64 << 10
)

// pair is a certificate and its key.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// material is all that the Secret holds. Members may be missing: their cert is nil.
type material struct {
	current, next, serving pair
}

// Keys of the Secret's data.
const (
	keyCurrent, keyNext, keyServing = "ca", "next", "tls"
	certSuffix, keySuffix           = ".crt", ".key"
)

// renewed returns m with what was missing or due made anew, and whether there was any.
func renewed(m material, names []string, now time.Time) (material, bool, error) {
	changed := false
	for range 3 { // an authority that was promoted may be due itself, one that was made is not
		if !due(m.current.cert, now) {
			break
		}
		changed = true
		m.current, m.next = m.next, pair{}
		if m.current.cert == nil || now.Before(m.current.cert.NotBefore) || now.After(m.current.cert.NotAfter) {
			first, err := newAuthority(now, firstLife)
			if err != nil {
				return m, false, err
			}
			m.current = first
		}
	}
	if due(m.next.cert, now) {
		next, err := newAuthority(now, authorityLife)
		if err != nil {
			return m, false, err
		}
		m.next, changed = next, true
	}
	if due(m.serving.cert, now) || m.serving.cert.CheckSignatureFrom(m.current.cert) != nil || !hasNames(m.serving.cert, names) {
		serving, err := newServing(m.current, names, now)
		if err != nil {
			return m, false, err
		}
		m.serving, changed = serving, true
	}
	return m, changed, nil
}

// due reports whether a certificate is to be replaced. One that is not valid yet was made by a clock that was wrong.
func due(c *x509.Certificate, now time.Time) bool {
	return c == nil || now.Before(c.NotBefore) || !now.Before(c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore)*2/3))
}

func newAuthority(now time.Time, life time.Duration) (pair, error) {
	serial, err := newSerial()
	if err != nil {
		return pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		// The number tells authorities apart that would otherwise have the same name.
		Subject:               pkix.Name{CommonName: fmt.Sprintf("dbt-operator collector authority %x", serial.Bytes()[:4])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(life),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	return sign(template, pair{})
}

func newServing(authority pair, names []string, now time.Time) (pair, error) {
	serial, err := newSerial()
	if err != nil {
		return pair{}, err
	}
	end := now.Add(servingLife)
	if end.After(authority.cert.NotAfter) {
		end = authority.cert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "dbt-operator collector"},
		NotBefore:    now.Add(-backdate),
		NotAfter:     end,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return sign(template, authority)
}

// newSerial returns a random number of 16 bytes, none of the first four of which is zero.
func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("making a certificate's number: %w", err)
	}
	b[0] = b[0]&0x7f | 1
	return new(big.Int).SetBytes(b), nil
}

// sign makes a key and the certificate of template, signed by an authority or, without one, by itself.
func sign(template *x509.Certificate, by pair) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("making a key: %w", err)
	}
	if by.cert == nil {
		by = pair{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		return pair{}, fmt.Errorf("making the certificate of %s: %w", template.Subject.CommonName, err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, fmt.Errorf("reading the certificate of %s that was just made: %w", template.Subject.CommonName, err)
	}
	return pair{c, key}, nil
}

func hasNames(c *x509.Certificate, names []string) bool {
	var has []string
	for _, ip := range c.IPAddresses {
		has = append(has, ip.String())
	}
	has = append(has, c.DNSNames...)
	slices.Sort(has)
	want := slices.Clone(names)
	for i, name := range want {
		if ip := net.ParseIP(name); ip != nil {
			want[i] = ip.String()
		}
	}
	slices.Sort(want)
	return slices.Equal(has, want)
}

// data returns m as a Secret holds it.
func (m material) data() (map[string][]byte, error) {
	out := map[string][]byte{}
	for name, p := range map[string]pair{keyCurrent: m.current, keyNext: m.next, keyServing: m.serving} {
		key, err := x509.MarshalPKCS8PrivateKey(p.key)
		if err != nil {
			return nil, fmt.Errorf("writing the key of %s: %w", p.cert.Subject.CommonName, err)
		}
		out[name+certSuffix] = certPEM(p.cert)
		out[name+keySuffix] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	}
	return out, nil
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// parse returns what a Secret holds, without what is not whole; err says what that is.
func parse(data map[string][]byte) (m material, err error) {
	var errs [3]error
	m.current, errs[0] = parsePair(data, keyCurrent)
	m.next, errs[1] = parsePair(data, keyNext)
	m.serving, errs[2] = parsePair(data, keyServing)
	for i, p := range []*pair{&m.current, &m.next} {
		if p.cert != nil && !p.cert.IsCA {
			*p, errs[i] = pair{}, errors.Join(errs[i], fmt.Errorf("%s is no authority", p.cert.Subject.CommonName))
		}
	}
	return m, errors.Join(errs[:]...)
}

func parsePair(data map[string][]byte, name string) (pair, error) {
	cert, key := data[name+certSuffix], data[name+keySuffix]
	if len(cert) > maxCertificate || len(key) > maxCertificate {
		return pair{}, fmt.Errorf("%s%s and %s%s are larger than any certificate", name, certSuffix, name, keySuffix)
	}
	both, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return pair{}, fmt.Errorf("%s%s and %s%s: %w", name, certSuffix, name, keySuffix, err)
	}
	signer, ok := both.PrivateKey.(crypto.Signer)
	if !ok {
		return pair{}, fmt.Errorf("%s%s cannot sign", name, keySuffix)
	}
	return pair{both.Leaf, signer}, nil
}

// bundle returns what pods are to trust.
func (m material) bundle() string {
	return string(bytes.Join([][]byte{certPEM(m.current.cert), certPEM(m.next.cert)}, nil))
}

// whole reports whether nothing is missing.
func (m material) whole() bool {
	return m.current.cert != nil && m.next.cert != nil && m.serving.cert != nil
}
