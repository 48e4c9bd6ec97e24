package graphsim

// The first users are the given names in this order, so that examples can say
// "anna" and mean somebody. Later ones combine them with family names.
var givenNames = []string{
	"Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas",
	"Karla", "Leon", "Mia", "Nils", "Olga", "Paul", "Quirin", "Rosa", "Simon", "Tara",
	"Udo", "Vera", "Willi", "Xenia", "Yusuf", "Zoe", "Amir", "Bianca", "Carlos", "Dora",
	"Emil", "Fatima", "Georg", "Hanna", "Ivan", "Julia", "Kofi", "Lena", "Marco", "Nora",
	"Omar", "Petra", "Ravi", "Sofia", "Tom", "Ute", "Viktor", "Wanda", "Yara", "Zeno",
}

var familyNames = []string{
	"Albers", "Berger", "Castillo", "Dietrich", "Ekberg", "Fischer", "Garcia", "Hansen", "Ivanova", "Jansen",
	"Keller", "Lindner", "Moreau", "Nowak", "Okafor", "Peters", "Quandt", "Rossi", "Schubert", "Thomsen",
	"Ulrich", "Vogel", "Weber", "Xu", "Yilmaz", "Zimmer", "Arslan", "Becker", "Conti", "Durand",
	"Eriksen", "Falk", "Gruber", "Huber", "Ito", "Jung", "Kowalski", "Lang", "Maier", "Neumann",
}

var departments = []string{"Sales", "Support", "Engineering", "Finance", "Marketing", "Operations", "Legal"}

var jobTitles = []string{"Assistant", "Specialist", "Manager", "Engineer", "Consultant", "Analyst"}

var languages = []string{"de-DE", "en-US", ""}
