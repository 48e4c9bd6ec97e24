package freeswitch

// alive says whether there is a connection of which nobody has noticed that it is over.
func (l *link) alive() bool {
	conn, _ := l.living()
	return conn != nil
}
