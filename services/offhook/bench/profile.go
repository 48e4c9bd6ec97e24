package bench

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The CPU profile that runtime/pprof writes is a gzipped protobuf message:
// https://github.com/google/pprof/blob/main/proto/profile.proto. What is needed of
// it is read here: samples, their stacks as function names, and their labels.

// cpuSample is one stack and the CPU time that was spent in it.
type cpuSample struct {
	cpu    time.Duration
	stack  []string // function names, the innermost first
	labels map[string]string
}

// Field numbers of profile.proto.
const (
	profileSample, profileLocation, profileFunction, profileStrings = 2, 4, 5, 6

	sampleLocation, sampleValue, sampleLabel = 1, 2, 3
	labelKey, labelText                      = 1, 2
	locationID, locationLine, lineFunction   = 1, 4, 1
	functionID, functionName                 = 1, 2
)

// cpuValue is the index of the CPU time in nanoseconds among a sample's values;
// the other is the number of samples.
const cpuValue = 1

var errProfile = errors.New("not a CPU profile")

// fields calls do for every field of a message: number is its value if it is one,
// data its bytes if it has some.
func fields(message []byte, do func(field protowire.Number, number uint64, data []byte) error) error {
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errProfile
		}
		message = message[n:]
		var number uint64
		var data []byte
		switch kind {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			data, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(field, kind, message)
		}
		if n < 0 {
			return errProfile
		}
		message = message[n:]
		if err := do(field, number, data); err != nil {
			return err
		}
	}
	return nil
}

// numbers reads a repeated number, which may be packed.
func numbers(into []uint64, number uint64, packed []byte) ([]uint64, error) {
	if packed == nil {
		return append(into, number), nil
	}
	for len(packed) > 0 {
		v, n := protowire.ConsumeVarint(packed)
		if n < 0 {
			return nil, errProfile
		}
		into, packed = append(into, v), packed[n:]
	}
	return into, nil
}

// profile is the message's tables.
type profile struct {
	samples   [][]byte
	locations map[uint64][]uint64 // functions, the innermost first: what was inlined counts
	functions map[uint64]uint64   // names, as indices of strings
	strings   []string
}

func parseProfile(zipped []byte) ([]cpuSample, error) {
	z, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProfile, err)
	}
	message, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProfile, err)
	}
	p := profile{locations: map[uint64][]uint64{}, functions: map[uint64]uint64{}}
	if err := fields(message, p.table); err != nil {
		return nil, err
	}
	var all []cpuSample
	for _, raw := range p.samples {
		s, err := p.sample(raw)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// table keeps one field of the profile.
func (p *profile) table(field protowire.Number, _ uint64, data []byte) error {
	switch field {
	case profileSample:
		p.samples = append(p.samples, data)
	case profileStrings:
		p.strings = append(p.strings, string(data))
	case profileFunction:
		var id, name uint64
		err := fields(data, func(field protowire.Number, number uint64, _ []byte) error {
			switch field {
			case functionID:
				id = number
			case functionName:
				name = number
			}
			return nil
		})
		p.functions[id] = name
		return err
	case profileLocation:
		return p.location(data)
	}
	return nil
}

func (p *profile) location(data []byte) error {
	var id uint64
	var functions []uint64
	err := fields(data, func(field protowire.Number, number uint64, data []byte) error {
		switch field {
		case locationID:
			id = number
		case locationLine:
			return fields(data, func(field protowire.Number, number uint64, _ []byte) error {
				if field == lineFunction {
					functions = append(functions, number)
				}
				return nil
			})
		}
		return nil
	})
	p.locations[id] = functions
	return err
}

func (p *profile) sample(raw []byte) (cpuSample, error) {
	s := cpuSample{labels: map[string]string{}}
	var locations, values []uint64
	err := fields(raw, func(field protowire.Number, number uint64, data []byte) (err error) {
		switch field {
		case sampleLocation:
			locations, err = numbers(locations, number, data)
		case sampleValue:
			values, err = numbers(values, number, data)
		case sampleLabel:
			var key, value uint64
			err = fields(data, func(field protowire.Number, number uint64, _ []byte) error {
				switch field {
				case labelKey:
					key = number
				case labelText:
					value = number
				}
				return nil
			})
			s.labels[p.text(key)] = p.text(value)
		}
		return err
	})
	if err == nil && len(values) <= cpuValue {
		err = errProfile
	}
	if err != nil {
		return s, err
	}
	s.cpu = time.Duration(values[cpuValue])
	for _, l := range locations {
		for _, f := range p.locations[l] {
			s.stack = append(s.stack, p.text(p.functions[f]))
		}
	}
	return s, nil
}

func (p *profile) text(i uint64) string {
	if i >= uint64(len(p.strings)) {
		return ""
	}
	return p.strings[i]
}
